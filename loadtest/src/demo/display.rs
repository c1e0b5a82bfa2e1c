//! The demo's output: an introduction, then the bill as it grows.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{tenants::Tenants, traffic::Traffic};
use crate::processes::Bill;

/// Width of what is not printed on a terminal, and of a terminal that does not tell its own.
const USUAL_WIDTH: u16 = 80;

/// Back to the top of an empty screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The way to a PDF.
const HAVE_DOCUMENTS: &str = "/v1/invoices/inv_.../pdf, keyctl --api ... invoice pdf";

/// The way to the program that typesets them.
const NO_DOCUMENTS: &str = "make run DOCUMENTS=1 (builds what typesets them, ~10 min once)";

/// Narrow enough for 80 columns after a day of traffic.
const HEADER: [&str; 7] = ["tenant", "plan", "served", "refused", "billed", "units", "charge"];

/// Addresses and directories that the introduction shows.
pub(super) struct Places<'a> {
    pub(super) gateway: String,
    pub(super) operators: String,
    pub(super) billing: String,
    pub(super) directory: &'a Path,
    /// True if the program that typesets PDFs is beside `billing`.
    pub(super) has_documents: bool,
}

/// The introduction: tenants, keys, addresses, and commands to try.
pub(super) fn introduction(tenants: &Tenants, places: &Places<'_>) -> String {
    let Places { gateway, operators, billing, directory, has_documents } = places;
    let directory = directory.display();
    let mut lines = vec![
        format!("Tollgate is running; its data is in {directory}"),
        String::new(),
        format!("  gateway        {gateway}/v1/hello"),
        format!("  for operators  {operators}/health/ready, /metrics"),
        format!("  business API   {billing}/docs, /openapi.json"),
        format!("  PDFs           {}", if *has_documents { HAVE_DOCUMENTS } else { NO_DOCUMENTS }),
        String::new(),
        format!("  root      Example API       {}", tenants.root),
        format!("  reseller  Northwind Resale  {}", tenants.reseller),
    ];
    for customer in tenants.all() {
        lines.push(format!("  customer  {:<8} {:<8} {}", customer.name, customer.plan, customer.tenant));
        lines.push(format!("      live  {}", customer.live.secret));
        lines.push(format!("      test  {}", customer.test.secret));
    }
    let Some(customer) = tenants.customers.first() else { return lines.join("\n") };
    let key = &customer.live.secret;
    lines.extend([
        String::new(),
        "From a second terminal, in this directory:".to_owned(),
        String::new(),
        format!("  key={key}"),
        format!("  curl -i -H \"X-Api-Key: $key\" {gateway}/v1/hello"),
        format!("  curl -i -H \"X-Api-Key: $key\" {gateway}/bulk/units/500000"),
        format!("  curl -i {gateway}/v1/hello"),
        String::new(),
        "  export PATH=\"$PWD/target/release:$PATH\"".to_owned(),
        format!("  export TOLLGATE_STORE=sqlite://{directory}/tollgate.db"),
        format!("  export TOLLGATE_PEPPER=$(cat {directory}/pepper)"),
        "  keyctl tenant list".to_owned(),
        "  billing run --dry-run".to_owned(),
        String::new(),
        "The business API takes an admin key, which this makes:".to_owned(),
        String::new(),
        "  keyctl admin-key create --name me --role owner \\".to_owned(),
        format!("    --tenant {}", tenants.root),
        format!("  curl -H \"Authorization: Bearer adm_...\" {billing}/v1/me"),
    ]);
    lines.join("\n") + "\n"
}

/// The bill beside what the client counted, in lines of at most `width` characters as far as that
/// goes.
fn table(bill: &Bill, tenants: &Tenants, traffic: &Traffic, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header(HEADER);
    for customer in tenants.all() {
        let Some(invoice) = bill.of(customer.tenant) else { continue };
        let counted = traffic.counted(customer.tenant);
        table.add_row([
            invoice.name.clone(),
            invoice.plan.clone(),
            (counted.received - counted.refused).to_string(),
            counted.refused.to_string(),
            invoice.billable_requests.to_string(),
            invoice.billable_units.to_string(),
            format!("{} {}", invoice.total, invoice.currency),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let refusal = traffic.last_refusal().unwrap_or_else(|| "none yet".to_owned());
    format!(
        "{table}\nLast refusal: {refusal}\nBilled is what was served, but for test keys and failures of the API (5xx).\n\
         Ctrl-C stops everything.\n"
    )
}

/// Shows the bill again and again: in place on a terminal, as lines elsewhere.
pub(super) struct LiveBill {
    introduction: String,
    in_place: bool,
    /// The terminal's width and how many of its lines are taken, since the last time.
    drawn: Option<(u16, usize)>,
}

impl LiveBill {
    /// A display for standard output. Nothing is shown yet.
    pub(super) fn new(introduction: String) -> Self {
        Self { introduction, in_place: io::stdout().is_terminal(), drawn: None }
    }

    /// Shows the way in.
    pub(super) fn introduce(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{}", self.introduction)?;
        out.flush()
    }

    /// Shows the bill next to what the client counted. A terminal that has another width than
    /// before is drawn anew, as nobody knows where its lines went.
    pub(super) fn show(
        &mut self,
        out: &mut impl Write,
        bill: &Bill,
        tenants: &Tenants,
        traffic: &Traffic,
    ) -> io::Result<()> {
        if !self.in_place {
            for invoice in &bill.invoices {
                let (name, requests, units) = (&invoice.name, invoice.requests, invoice.billable_units);
                writeln!(out, "{name}: {requests} requests, {units} units, {} {}", invoice.total, invoice.currency)?;
            }
            if let Some(refusal) = traffic.last_refusal() {
                writeln!(out, "last refusal: {refusal}")?;
            }
            return out.flush();
        }
        let width = Table::new().width().unwrap_or(USUAL_WIDTH);
        self.draw(out, &table(bill, tenants, traffic, width), width)
    }

    fn draw(&mut self, out: &mut impl Write, text: &str, width: u16) -> io::Result<()> {
        match self.drawn {
            // Back to the table's first line, clearing what stands below.
            Some((before, lines)) if before == width => write!(out, "\x1b[{lines}A\r\x1b[J")?,
            Some(_) => write!(out, "{CLEAR}\n{}\n", self.introduction)?,
            None => {}
        }
        self.drawn = Some((width, lines_of(text, width)));
        write!(out, "{text}")?;
        out.flush()
    }
}

/// Lines of a terminal of this width that a text takes: longer ones take several.
fn lines_of(text: &str, width: u16) -> usize {
    let lines = |line: &str| line.chars().count().div_ceil(usize::from(width.max(1))).max(1);
    text.lines().map(lines).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resized_terminal_is_drawn_anew() {
        let mut bill = LiveBill { introduction: "the way in".into(), in_place: true, drawn: None };
        let mut drawn = |width| {
            let mut out = Vec::new();
            bill.draw(&mut out, "a table\nof two lines\n", width).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(drawn(80), "a table\nof two lines\n");
        assert_eq!(drawn(80), "\u{1b}[2A\r\u{1b}[Ja table\nof two lines\n");
        assert_eq!(drawn(10), "\u{1b}[H\u{1b}[2J\nthe way in\na table\nof two lines\n");
        assert_eq!(
            drawn(10),
            "\u{1b}[3A\r\u{1b}[Ja table\nof two lines\n",
            "the second line takes two of 10 characters"
        );
    }
}
