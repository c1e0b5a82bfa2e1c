//! Tables of invoices, and of their lines and tax.

use super::{Export, PIECE_ROWS, Piece, Row};
use crate::{
    id::TenantId,
    invoice::{Invoice, InvoiceLine, InvoiceSpan, LineKind, tax::Treatment},
    money::Money,
    store::StoreError,
    time::Window,
};

/// The side of invoices that a tenant is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceSide {
    /// Invoices that it has issued.
    Issued,
    /// Invoices that it owes.
    Owed,
}

/// Columns of the table of invoices.
pub(super) const COLUMNS: &[&str] = &[
    "id",
    "number",
    "kind",
    "status",
    "issuer",
    "issuer_name",
    "buyer",
    "buyer_name",
    "buyer_tax_id",
    "buyer_country",
    "currency",
    "period_start",
    "period_end",
    "finalized_at",
    "due_at",
    "subtotal",
    "tax",
    "total",
    "credit_used",
    "open",
];

/// Columns of the table of lines.
pub(super) const LINE_COLUMNS: &[&str] = &[
    "invoice",
    "number",
    "status",
    "issuer",
    "buyer",
    "buyer_name",
    "currency",
    "finalized_at",
    "line",
    "kind",
    "description",
    "meter",
    "quantity",
    "unit_price",
    "per",
    "amount",
    "tax_treatment",
    "tax_percent",
    "tax",
    "period_start",
    "period_end",
    "coupon",
];

impl Export {
    /// Rows of invoices.
    pub(super) async fn invoice_rows(&self, side: InvoiceSide, after: i64) -> Result<Piece, StoreError> {
        let (invoices, next) = self.store.invoices_in(&self.span(side), after, PIECE_ROWS).await?;
        Ok((invoices.iter().flat_map(invoice_row).collect(), next))
    }

    /// Rows of lines: each invoice's lines, and then its tax.
    pub(super) async fn line_rows(&self, side: InvoiceSide, after: i64) -> Result<Piece, StoreError> {
        // An invoice has many lines.
        let (invoices, next) = self.store.invoices_in(&self.span(side), after, PIECE_ROWS / 10).await?;
        Ok((invoices.iter().flat_map(rows_of_lines).collect(), next))
    }

    fn span(&self, side: InvoiceSide) -> InvoiceSpan {
        let (tenant, window): (TenantId, Window) = (self.query.tenant, self.query.window);
        let of = |side_of| Some(tenant).filter(|_| side == side_of);
        let (issuer, tenant) = (of(InvoiceSide::Issued), of(InvoiceSide::Owed));
        InvoiceSpan { issuer, tenant, subtree: false, window, by_period: false }
    }
}

fn invoice_row(invoice: &Invoice) -> Vec<u8> {
    let content = &invoice.content;
    let money = |minor| Money::from_minor(minor, content.currency).digits();
    let country = content.buyer.address.as_ref().map(|address| address.country.as_str());
    period(
        Row::default()
            .value(invoice.id)
            .text(&invoice.number)
            .exact(invoice.kind.as_str())
            .exact(invoice.status.as_str())
            .value(invoice.issuer)
            .text(&content.issuer.name)
            .value(invoice.tenant)
            .text(&content.buyer.name)
            .optional(content.buyer.tax_id.as_deref())
            .optional(country)
            .exact(content.currency.code()),
        invoice.period,
    )
    .value(invoice.finalized_at)
    .value(invoice.due_at)
    .exact(&money(content.subtotal_minor))
    .exact(&money(content.tax_minor))
    .exact(&invoice.total.digits())
    .exact(&invoice.credit_used.digits())
    .exact(&invoice.open.digits())
    .end()
}

fn rows_of_lines(invoice: &Invoice) -> Vec<u8> {
    let content = &invoice.content;
    let money = |minor| Money::from_minor(minor, content.currency).digits();
    let mut rows = Vec::new();
    for (place, line) in content.lines.iter().enumerate() {
        rows.extend(line_row(invoice, place, line));
    }
    for tax in &content.taxes {
        let row = begin(invoice)
            .exact("")
            .exact("tax")
            .value(format_args!("{} % on {}", tax.rule.percent, money(tax.net_minor)))
            .empty(5)
            .exact(treatment(tax.rule.treatment))
            .value(tax.rule.percent)
            .exact(&money(tax.tax_minor));
        rows.extend(period(row, None).exact("").end());
    }
    rows
}

fn line_row(invoice: &Invoice, place: usize, line: &InvoiceLine) -> Vec<u8> {
    let price = line.unit_price.as_ref();
    let row = begin(invoice)
        .value(place)
        .exact(word(line.kind))
        .text(&line.description)
        .optional(line.meter.as_deref())
        .value(line.quantity)
        .exact(&price.map(|price| price.amount.to_string()).unwrap_or_default())
        .exact(&price.map(|price| price.per.to_string()).unwrap_or_default())
        .exact(&Money::from_minor(line.amount_minor, invoice.content.currency).digits())
        .exact(treatment(line.tax.treatment))
        .value(line.tax.percent)
        .exact("");
    period(row, line.period.or(invoice.period)).optional(line.coupon.as_deref()).end()
}

fn begin(invoice: &Invoice) -> Row {
    Row::default()
        .value(invoice.id)
        .text(&invoice.number)
        .exact(invoice.status.as_str())
        .value(invoice.issuer)
        .value(invoice.tenant)
        .text(&invoice.content.buyer.name)
        .exact(invoice.content.currency.code())
        .value(invoice.finalized_at)
}

fn period(row: Row, window: Option<Window>) -> Row {
    match window {
        Some(Window { start, end }) => row.value(start).value(end),
        None => row.empty(2),
    }
}

/// The word of a kind of line.
pub(super) const fn word(kind: LineKind) -> &'static str {
    match kind {
        LineKind::FlatFee => "flat_fee",
        LineKind::Included => "included",
        LineKind::Usage => "usage",
        LineKind::Fixed => "fixed",
        LineKind::NotCharged => "not_charged",
        LineKind::Credit => "credit",
        LineKind::Minimum => "minimum",
        LineKind::Discount => "discount",
        LineKind::Custom => "custom",
    }
}

const fn treatment(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Exclusive => "exclusive",
        Treatment::Inclusive => "inclusive",
        Treatment::ReverseCharge => "reverse_charge",
        Treatment::Exempt => "exempt",
    }
}
