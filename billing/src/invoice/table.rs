//! Drafts and runs as text, for people: one block per tenant, the total at its end.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets};
use common::money::Money;

use super::{Drafts, FailedDraft, Invoice, IssuedInvoice, Run, Simulation};
use crate::{
    number::grouped,
    rating::{Line, LineKind, price_digits},
};

/// The drafts as text that ends with a newline.
pub fn to_table(drafts: &Drafts) -> String {
    if drafts.invoices.is_empty() && drafts.failed.is_empty() {
        return format!("No tenant has a subscription in {}: nothing to bill.\n", drafts.period);
    }
    let blocks = drafts.invoices.iter().map(block).chain(drafts.failed.iter().map(failure));
    blocks.collect::<Vec<_>>().join("\n")
}

/// The outcome of a run as text that ends with a newline: a row for each invoice.
pub fn run_to_table(run: &Run) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["Number", "Tenant", "Total", "Due", ""].map(Cell::new));
    let row = |invoice: &IssuedInvoice, note: &str| {
        let due = invoice.due_at.to_string();
        [invoice.number.clone(), invoice.tenant_name.clone(), invoice.total.to_string(), due, note.to_owned()]
    };
    for invoice in &run.issued {
        table.add_row(row(invoice, "issued"));
    }
    for invoice in &run.before {
        table.add_row(row(invoice, "issued before"));
    }
    for one in &run.not_due {
        let not_before = format!("not before {}", one.due_at);
        table.add_row([String::new(), one.tenant_name.clone(), String::new(), String::new(), not_before]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rows = run.issued.len() + run.before.len() + run.not_due.len();
    let mut text = match rows {
        0 => format!("No tenant has a subscription in {}: nothing to bill.\n", run.period),
        _ => format!("{table}\n"),
    };
    for failed in &run.failed {
        text += &failure(failed);
    }
    text
}

/// A simulation as text that ends with a newline: a row for each bill.
pub fn simulation_to_table(simulation: &Simulation) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["Month", "Tenant", "Plan", "Now", "Then", "Difference"].map(Cell::new));
    for one in &simulation.bills {
        let difference = one.then.checked_sub(one.now).map_or_else(|_| "-".into(), Money::digits);
        let (month, plan) = (one.period.to_string(), one.plan.to_string());
        let (now, then) = (one.now.to_string(), one.then.to_string());
        table.add_row([month, one.tenant_name.clone(), plan, now, then, difference]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = if simulation.bills.is_empty() { "No bill changes.\n".into() } else { format!("{table}\n") };
    for failed in &simulation.failed {
        text += &failure(failed);
    }
    text
}

fn failure(failed: &FailedDraft) -> String {
    format!("{} ({})\nNOT BILLED: {}\n", failed.tenant_name, failed.tenant, failed.reason)
}

fn block(invoice: &Invoice) -> String {
    let mut text = String::new();
    let counts = &invoice.counts;
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{} ({})", invoice.tenant_name, invoice.tenant);
    let _ = writeln!(
        text,
        "{}, version {}; {} up to {} ({}); draft",
        invoice.plan_name, invoice.plan_version, invoice.window.start, invoice.window.end, invoice.zone
    );
    let _ = writeln!(text, "{}", lines_table(invoice));
    let _ = writeln!(
        text,
        "Requests: {} recorded, {} billable, {} under test keys; {} refused by the gateway",
        grouped(counts.requests),
        grouped(counts.billable_requests),
        grouped(counts.test_requests),
        grouped(counts.refused_requests)
    );
    text
}

fn lines_table(invoice: &Invoice) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["Line", "Quantity", "Unit price", "Amount"].map(Cell::new));
    for line in &invoice.lines {
        table.add_row([line.description.clone(), grouped(line.quantity), unit_price(line), line.amount.digits()]);
    }
    table.add_row(["Total".into(), String::new(), String::new(), invoice.total.to_string()]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn unit_price(line: &Line) -> String {
    match (&line.unit_price, line.kind) {
        (Some(price), _) => format!("{} per {}", price_digits(price, line.amount.currency()), grouped(price.per)),
        (None, LineKind::Included) => "included".into(),
        (None, LineKind::NotCharged) => "not charged".into(),
        (None, LineKind::Credit) => "paid".into(),
        (
            None,
            LineKind::FlatFee
            | LineKind::Usage
            | LineKind::Fixed
            | LineKind::Minimum
            | LineKind::Discount
            | LineKind::Custom,
        ) => String::new(),
    }
}
