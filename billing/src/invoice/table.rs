//! Drafts as text, for people: one block per tenant, the total at its end.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{Drafts, FailedDraft, Invoice};
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
        (None, LineKind::FlatFee | LineKind::Usage | LineKind::Fixed) => String::new(),
    }
}
