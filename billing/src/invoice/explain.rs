//! Explaining an invoice: what each line was computed from, and whether computing it again gives the
//! same lines.

use common::{
    id::InvoiceId,
    invoice::{BilledUsage, Invoice as Issued, InvoiceLine, LineKind},
    plan::subscription::{Subscription, cycles::BillCycles},
    store::Store,
    time::{CyclePeriod, Micros, Window, Zone},
};
use serde::Serialize;

use super::{
    InvoiceError, PeriodChoice, billed,
    draft::{Supposed, draft_as_if},
    parts,
    payers::Bill,
    plans::Plans,
};
use crate::rating::{self, Line};

/// An invoice, and what it was computed from.
#[derive(Debug)]
pub struct Explanation {
    /// The invoice.
    pub invoice: Issued,
    /// The subscriptions that were in force in its period, by start.
    pub subscriptions: Vec<Subscription>,
    /// The usage that was frozen with it, of its own period.
    pub usage: Vec<BilledUsage>,
    /// Result of computing the lines of its own period again, from the frozen usage.
    pub from_frozen_usage: Comparison,
    /// The same from the usage that is booked now; late usage makes it differ.
    pub from_booked_usage: Comparison,
}

/// Result of computing an invoice again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The same lines, to the byte.
    Same,
    /// Other lines.
    Differs,
    /// It cannot be computed: a one-off invoice, or one of late usage alone.
    NotComputed,
}

impl Comparison {
    /// The comparison in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Same => "gives the same lines",
            Self::Differs => "gives other lines",
            Self::NotComputed => "is not possible: no plan rates it",
        }
    }
}

/// Explains an invoice.
pub async fn explain(store: &Store, id: InvoiceId) -> Result<Explanation, InvoiceError> {
    let invoice = store.invoice(id).await?;
    let subscriptions = subscriptions(store, &invoice).await?;
    let own: Option<Micros> = invoice.period.map(|period| period.start);
    let usage = store.usage_of_invoice(id).await?;
    let usage: Vec<_> = usage.into_iter().filter(|one| Some(one.period_start) == own).collect();
    let lines: Vec<InvoiceLine> = invoice.content.lines.iter().filter(|line| line.period.is_none()).cloned().collect();
    let from_frozen_usage = match invoice.period {
        Some(period) if invoice.content.plan.is_some() => {
            let again = rated(store, &subscriptions, period, &usage, &invoice).await?;
            compare(&again, &lines)
        }
        _ => Comparison::NotComputed,
    };
    let from_booked_usage = match (invoice.period, from_frozen_usage) {
        (None, _) | (_, Comparison::NotComputed) => Comparison::NotComputed,
        // A part of a period billed what was booked then, and nothing tells how much that was.
        _ if invoice.part > 0 => Comparison::NotComputed,
        (Some(period), _) => {
            let supposed = Supposed { before: Some(id), ..Supposed::default() };
            let drafts =
                draft_as_if(store, PeriodChoice::Holding(period.start), Some(invoice.tenant), supposed).await?;
            let same = drafts.invoices.iter().find(|draft| draft.issuer == invoice.issuer && draft.window == period);
            let own = |line: &&Line| line.period.is_none();
            let again = same.map(|draft| draft.lines.iter().filter(own).map(Line::frozen).collect::<Vec<_>>());
            again.map_or(Comparison::Differs, |again| compare(&again, &lines))
        }
    };
    Ok(Explanation { invoice, subscriptions, usage, from_frozen_usage, from_booked_usage })
}

async fn subscriptions(store: &Store, invoice: &Issued) -> Result<Vec<Subscription>, InvoiceError> {
    let Some(period) = invoice.period else { return Ok(Vec::new()) };
    let all = store.subscriptions_of(invoice.tenant).await?;
    let is_rated = |one: &Subscription| {
        let overlaps = one.starts_at < period.end && one.ends_at.is_none_or(|end| end > period.start);
        overlaps && one.plan_owner == invoice.issuer
    };
    Ok(all.into_iter().filter(is_rated).collect())
}

/// The lines of a period, from usage that was frozen.
async fn rated(
    store: &Store,
    subscriptions: &[Subscription],
    period: Window,
    usage: &[BilledUsage],
    invoice: &Issued,
) -> Result<Vec<InvoiceLine>, InvoiceError> {
    let mut plans = Plans::of(store, Vec::new()).await?;
    for subscription in subscriptions {
        plans.read(store, subscription).await?;
    }
    let zone = store.tenant(invoice.tenant).await?.zone;
    let cycles = cycles(store, &mut plans, invoice, &zone).await?;
    let outside = |source| InvoiceError::Period { zone: zone.name().to_owned(), source };
    let whole = cycles.period_at(period.start).map_err(outside)?.filter(|found| found.window == period);
    let whole = whole.unwrap_or(CyclePeriod::uncut(period));
    let subscriptions: Vec<_> = subscriptions.iter().collect();
    let at = (Bill { tenant: invoice.tenant, issuer: invoice.issuer }, whole, &cycles);
    let terms = plans.rating(at, &subscriptions)?;
    let parts = parts::before(store, at, &terms, Some(invoice.id)).await?;
    let new = billed::totals(period.start, usage);
    let lines = match parts {
        None => rating::rate_period(&terms.of_period(), &new),
        Some(parts) => {
            let all = parts.before.usage.plus(&new);
            if invoice.part == 0 {
                rating::rate_rest(&terms.of_period(), &parts.before, &all)
            } else {
                // A part bills fees, usage, or both.
                let fees = invoice.content.lines.iter().any(|line| line.kind == LineKind::FlatFee);
                let advance =
                    if fees { rating::rate_advance(&terms.of_period(), &parts.before) } else { Ok(Vec::new()) };
                advance.and_then(|mut lines| {
                    if !usage.is_empty() {
                        lines.extend(rating::rate_interim(&terms.of_period(), &parts.before, &all)?);
                    }
                    Ok(lines)
                })
            }
        }
    };
    let lines = lines.map_err(|source| parts::failed(invoice.tenant, &plans, &subscriptions, source))?;
    Ok(lines.iter().map(Line::frozen).collect())
}

/// The cycles of an invoice's bill.
async fn cycles(store: &Store, plans: &mut Plans, invoice: &Issued, zone: &Zone) -> Result<BillCycles, InvoiceError> {
    let all = store.subscriptions_of(invoice.tenant).await?;
    let of_bill: Vec<_> = all.iter().filter(|one| one.plan_owner == invoice.issuer).collect();
    for subscription in &of_bill {
        plans.read(store, subscription).await?;
    }
    let terms = of_bill.iter().map(|subscription| plans.cycle_terms(subscription));
    BillCycles::new(terms, zone).map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source })
}

/// Compares lines without their tax rules, which come from billing details, and without whether they were due
/// in advance, which invoices of before did not keep.
fn compare(again: &[InvoiceLine], frozen: &[InvoiceLine]) -> Comparison {
    let alike = |one: &InvoiceLine, other: &InvoiceLine| {
        let (tax, in_advance) = (other.tax, other.in_advance);
        InvoiceLine { tax, in_advance, ..one.clone() } == *other
    };
    let same = again.len() == frozen.len() && again.iter().zip(frozen).all(|(one, other)| alike(one, other));
    if same { Comparison::Same } else { Comparison::Differs }
}
