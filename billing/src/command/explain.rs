//! `billing explain`: what the lines of an invoice were computed from. It reads the store and changes
//! nothing.

use std::fmt::Write as _;

use clap::Args;
use common::{
    api::invoice::{InvoiceDocument, InvoiceLineDocument},
    id::InvoiceId,
    invoice::BilledUsage,
    plan::subscription::Subscription,
    store::{Store, StoreError},
};
use serde::Serialize;

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    config::Environment,
    invoice::{Comparison, Explanation, explain},
    number::grouped,
};

const EXAMPLES: &str = "\
For each line: quantity, price, the exact amount before it was rounded, and how it is taxed. Then the plan \
versions that were in force, the usage that was frozen with the invoice, and whether computing the lines again gives \
the same ones.

Examples:
  billing explain inv_01jd0000000000000000000001
  billing explain INV-000042
  billing explain INV-000042 2 --output json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExplainArguments {
    /// The invoice: its id, or its number if one issuer has it
    #[arg(value_name = "INVOICE")]
    invoice: String,
    /// Only this line, counted from 0
    #[arg(value_name = "LINE")]
    line: Option<usize>,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

/// An explanation as JSON.
#[derive(Serialize)]
struct ExplanationJson {
    invoice: InvoiceDocument,
    subscriptions: Vec<Subscription>,
    usage: Vec<BilledUsage>,
    from_frozen_usage: Comparison,
    from_booked_usage: Comparison,
    recompute: Vec<String>,
}

pub(super) async fn execute(arguments: &ExplainArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let store = Store::open(&arguments.store.url(environment)?).await?;
    let explained = find_and_explain(&store, &arguments.invoice).await;
    store.close().await;
    let mut explained = explained?;
    let first = arguments.line.unwrap_or(0);
    if let Some(place) = arguments.line {
        let lines = &mut explained.invoice.content.lines;
        if place >= lines.len() {
            return Err(CommandError::Usage("the invoice does not have this line; lines count from 0"));
        }
        let line = lines.swap_remove(place);
        explained.usage.retain(|usage| line.meter.as_ref() == Some(&usage.meter));
        *lines = vec![line];
    }
    match arguments.output {
        Output::Table => print(&text(explained, first)),
        Output::Json => {
            let recompute = recompute(&explained);
            let json = ExplanationJson {
                invoice: explained.invoice.into(),
                subscriptions: explained.subscriptions,
                usage: explained.usage,
                from_frozen_usage: explained.from_frozen_usage,
                from_booked_usage: explained.from_booked_usage,
                recompute,
            };
            print(&(serde_json::to_string_pretty(&json)? + "\n"))
        }
    }
}

async fn find_and_explain(store: &Store, name: &str) -> Result<Explanation, CommandError> {
    let id: InvoiceId = match name.parse() {
        Ok(id) => id,
        Err(_) => match store.invoices_by_number(name).await?.as_slice() {
            [invoice] => invoice.id,
            [] => return Err(StoreError::NotFound { what: "invoice", id: name.to_owned() }.into()),
            _ => return Err(CommandError::Usage("several issuers have this number: name the invoice by its id")),
        },
    };
    Ok(explain(store, id).await?)
}

/// Commands that show the usage behind the invoice and compute it again.
fn recompute(explained: &Explanation) -> Vec<String> {
    let Some(period) = explained.invoice.period else { return Vec::new() };
    let tenant = explained.invoice.tenant;
    vec![
        format!(
            "keyctl usage report --tenant {tenant} --subtree --from {} --to {} --by tenant,key,route,meter",
            period.start, period.end
        ),
        format!("billing run --dry-run --tenant {tenant} --now {} --output json", period.start),
    ]
}

fn text(explained: Explanation, first: usize) -> String {
    let recompute = recompute(&explained);
    let Explanation { invoice, subscriptions, usage, from_frozen_usage, from_booked_usage } = explained;
    let document = InvoiceDocument::from(invoice);
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{} ({}), {}", document.number, document.id, document.status);
    let _ = writeln!(text, "from {} to {}", document.issuer.name, document.buyer.name);
    for (place, line) in (first..).zip(&document.lines) {
        write_line(&mut text, place, line, &document.currency);
    }
    for tax in &document.taxes {
        let (net, amount) = (&tax.net.amount, &tax.tax.amount);
        let _ = writeln!(text, "tax: {} % of {net} is {amount}, rounded once", tax.rule.percent);
    }
    let _ = writeln!(text, "total {} {}", document.total.amount, document.currency);
    for one in &subscriptions {
        let end = one.ends_at.map_or_else(|| "now on".into(), |end| format!("up to {end}"));
        let _ = writeln!(
            text,
            "plan {} version {} of {}, from {} {end}",
            one.plan, one.version, one.plan_owner, one.starts_at
        );
    }
    for one in &usage {
        let BilledUsage { meter, units, requests, credit, beyond_quota, plan, .. } = one;
        let (units, requests) = (grouped(i128::from(*units)), grouped(i128::from(*requests)));
        let _ = match plan {
            Some(plan) => {
                writeln!(text, "usage {meter}: {units} units of {requests} requests under plan {plan} of these")
            }
            None => writeln!(text, "usage {meter}: {credit} units from credit, {beyond_quota} beyond a hard quota"),
        };
    }
    let _ = writeln!(text, "computing it again from this usage {}", from_frozen_usage.text());
    let _ = writeln!(text, "computing it again from all that is booked now {}", from_booked_usage.text());
    for command in recompute {
        let _ = writeln!(text, "  {command}");
    }
    text
}

fn write_line(text: &mut String, place: usize, line: &InvoiceLineDocument, currency: &str) {
    let quantity = grouped(line.quantity);
    let _ = match (&line.unit_price, line.per) {
        (Some(price), Some(per)) => {
            write!(text, "line {place}: {}: {quantity} x {price} per {}", line.description, grouped(per))
        }
        _ => write!(text, "line {place}: {}: {quantity}", line.description),
    };
    let amount = &line.amount.amount;
    let _ = match &line.exact {
        Some(exact) => writeln!(text, " = {exact}, rounded to {amount} {currency}"),
        None => writeln!(text, " = {amount} {currency}"),
    };
    if let Some(period) = &line.period {
        let _ = writeln!(text, "  of the period from {} up to {}", period.start, period.end);
    }
}
