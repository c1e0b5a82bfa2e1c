//! What the demo prints: the way in, then the bill as it grows.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, Table, presets};

use super::{bill::Bill, cast::Cast, traffic::Traffic};

/// Prints keys and the first commands to try.
pub(super) fn introduce(out: &mut impl Write, cast: &Cast, gateway: &str, directory: &str) -> io::Result<()> {
    writeln!(out, "\nTollgate is running: gateway {gateway}, data in {directory}\n")?;
    writeln!(out, "  root      Example API       {}", cast.root)?;
    writeln!(out, "  reseller  Northwind Resale  {}", cast.reseller)?;
    for customer in &cast.customers {
        writeln!(out, "  customer  {:<16}  {}  plan {}", customer.name, customer.tenant, customer.plan)?;
        writeln!(out, "              live key  {}", customer.live.secret)?;
        writeln!(out, "              test key  {}", customer.test.secret)?;
    }
    let Some(customer) = cast.customers.first() else { return Ok(()) };
    let key = &customer.live.secret;
    writeln!(out, "\nTry from a second terminal:\n")?;
    writeln!(out, "  curl -i -H 'Authorization: Bearer {key}' {gateway}/v1/hello")?;
    writeln!(out, "  curl -i -H 'X-Api-Key: {key}' {gateway}/bulk/units/500000")?;
    writeln!(out, "  curl -i {gateway}/v1/hello")?;
    writeln!(out, "  target/release/keyctl --store sqlite://{directory}/tollgate.db tenant list")?;
    writeln!(out, "  target/release/billing run --dry-run --store sqlite://{directory}/tollgate.db\n")?;
    out.flush()
}

/// Shows the bill again and again, in place on a terminal, as a line per tenant elsewhere.
pub(super) struct LiveBill {
    in_place: bool,
    lines_shown: usize,
}

impl LiveBill {
    /// A display for standard output.
    pub(super) fn new() -> Self {
        Self { in_place: io::stdout().is_terminal(), lines_shown: 0 }
    }

    /// Shows the bill next to what the client counted.
    pub(super) fn show(&mut self, out: &mut impl Write, bill: &Bill, cast: &Cast, traffic: &Traffic) -> io::Result<()> {
        if !self.in_place {
            for invoice in &bill.invoices {
                let (name, requests, units) = (&invoice.name, invoice.requests, invoice.billable_units);
                writeln!(out, "{name}: {requests} requests, {units} units, {} {}", invoice.total, invoice.currency)?;
            }
            return out.flush();
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["tenant", "plan", "client counted", "requests", "billed", "units", "refused", "charge"]);
        for customer in &cast.customers {
            let Some(invoice) = bill.of(customer.tenant) else { continue };
            let counted = traffic.counted(customer.tenant);
            table.add_row([
                invoice.name.clone(),
                invoice.plan.clone(),
                (counted.received - counted.refused).to_string(),
                invoice.requests.to_string(),
                invoice.billable_requests.to_string(),
                invoice.billable_units.to_string(),
                invoice.refused_requests.to_string(),
                format!("{} {}", invoice.total, invoice.currency),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let text = format!("{table}\nThe bill so far. Ctrl-C stops everything.\n");
        if self.lines_shown > 0 {
            // Back to the table's first line, clearing what stands below.
            write!(out, "\x1b[{}A\x1b[J", self.lines_shown)?;
        }
        self.lines_shown = text.lines().count();
        write!(out, "{text}")?;
        out.flush()
    }
}
