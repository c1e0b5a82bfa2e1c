//! The report as text for people: the equalities that hold first, then the faults.

use std::fmt::{Display, Write as _};

use comfy_table::{CellAlignment, Table, presets};
use common::usage::{
    gaps::UsageGap,
    lives::LostLife,
    reconcile::{PeriodReconciliation, StreamReconciliation},
};

use super::Report;
use crate::number::grouped;

/// The report as text that ends with a newline.
pub fn to_table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        text,
        "Streams: acknowledged = booked + refusals + void + lost, booked = recorded + dropped + quarantined\n"
    );
    let _ = writeln!(text, "{}\n", streams(&report.streams));
    let _ = writeln!(text, "Tenants and months: recorded + dropped + reported = summed up, in requests\n");
    let _ = writeln!(text, "{}\n", periods(&report.periods));
    list(&mut text, "Equalities that do not hold", report.breaches.iter().map(|breach| &breach.text));
    list(&mut text, "Open gaps", report.open_gaps.iter().map(gap));
    list(&mut text, "Accepted gaps", report.accepted_gaps.iter().map(gap));
    list(&mut text, "Lives of gateways without their journals", report.lost_lives.iter().map(life));
    list(&mut text, "Lives of gateways without their journals, accepted", report.accepted_lives.iter().map(life));
    let unknown = report.unknown_tenants.iter().map(|unknown| {
        let requests = grouped(unknown.usage.requests.unsigned_abs());
        format!("{} in {}: {requests} requests, on no invoice", unknown.tenant, unknown.period)
    });
    list(&mut text, "Usage of unknown tenants", unknown);
    if report.unpartitioned > 0 {
        let _ = writeln!(text, "Records without a partition: {}\n", grouped(report.unpartitioned));
    }
    if report.dead_letters > 0 {
        let _ = writeln!(text, "Dead letters: {}; see `billing dead-letters list`\n", grouped(report.dead_letters));
    }
    if report.quarantined > 0 {
        let _ = writeln!(text, "In quarantine: {}; see `billing quarantine list`\n", grouped(report.quarantined));
    }
    list(&mut text, "Postings of the ledger that do not balance", report.ledger.iter());
    list(&mut text, "Wallets that are not what the ledger has", report.wallets.iter());
    list(&mut text, "Invoices, payments and series that do not agree", report.invoices.iter());
    list(&mut text, "Bank entries that are not what was recorded of them", report.bank_entries.iter());
    list(&mut text, "Fees in advance that are not what the ledger has left of them", report.deferrals.iter());
    list(&mut text, "Disputed money that open disputes do not hold", report.disputes.iter());
    let _ = writeln!(text, "{}", verdict(report));
    text
}

fn verdict(report: &Report) -> String {
    match (report.clean, report.incomplete()) {
        (true, None) => "The books are in order.".to_owned(),
        (true, Some(incomplete)) => format!("What is booked is in order, but not complete: {incomplete}."),
        (false, None) => "The books are NOT in order.".to_owned(),
        (false, Some(incomplete)) => format!("The books are NOT in order, and not complete: {incomplete}."),
    }
}

fn streams(streams: &[StreamReconciliation]) -> Table {
    let mut table = with_header([
        "Stream",
        "Acknowledged",
        "Booked",
        "Refusals",
        "Void",
        "Lost",
        "Recorded",
        "Dropped",
        "Quarantined",
        "Missing",
    ]);
    for stream in streams {
        table.add_row([
            stream.stream.to_string(),
            number(stream.acknowledged),
            number(stream.booked.requests),
            number(stream.refusal_entries),
            number(stream.void_entries),
            number(stream.lost_entries),
            stream.recorded.map_or_else(|| "not counted".to_owned(), |recorded| number(recorded.requests)),
            number(stream.dropped.requests),
            number(stream.quarantined.requests),
            number(stream.missing),
        ]);
    }
    align(table)
}

fn periods(periods: &[PeriodReconciliation]) -> Table {
    let mut table = with_header(["Tenant and month", "Recorded", "Dropped", "Reported", "Summed up", "Units"]);
    for period in periods {
        table.add_row([
            format!("{} {}", period.tenant, period.period),
            number(period.recorded.requests),
            number(period.dropped.requests),
            number(period.reported.requests),
            number(period.rolled_up.requests),
            number(period.rolled_up.units),
        ]);
    }
    align(table)
}

fn gap(gap: &UsageGap) -> String {
    let cause = if gap.lost { "lost by the gateway" } else { "skipped" };
    let since = gap.opened_at.map_or_else(String::new, |at| format!(" since {at}"));
    let accepted = gap.accepted.as_ref().map_or_else(String::new, |accepted| {
        format!("; accepted at {} by {}: {}", accepted.at, accepted.by, accepted.reason)
    });
    format!("{}: {}..{} {cause}{since}{accepted}", gap.stream, gap.from, gap.to)
}

fn life(life: &LostLife) -> String {
    let accepted = life.accepted.as_ref().map_or_else(String::new, |accepted| {
        format!("; accepted at {} by {}: {}", accepted.at, accepted.by, accepted.reason)
    });
    let booked = grouped(life.booked);
    format!(
        "{}: began at {}, missed at {}, {booked} entries booked{accepted}",
        life.life, life.began_at, life.noticed_at
    )
}

fn with_header<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(header);
    table
}

fn align(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number that may be negative if the books are wrong.
fn number(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

fn list(text: &mut String, title: &str, items: impl Iterator<Item = impl Display>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "{title}:");
    for item in items {
        let _ = writeln!(text, "  {item}");
    }
    let _ = writeln!(text);
}
