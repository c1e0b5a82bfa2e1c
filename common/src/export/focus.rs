//! Costs by FOCUS 1.2, the `FinOps` Open Cost and Usage Specification.
//!
//! Every line of an invoice is a row, and so is its tax; lines that credit notes take back are rows
//! below zero, with the class `Correction`. The costs of an invoice's rows sum to its total. Where
//! prices include tax, the lines contain it, and an adjustment takes out what the tax states again.

use rust_decimal::Decimal;

use super::{Export, PIECE_ROWS, Piece, Row, invoices::word};
use crate::{
    invoice::{CreditNote, Invoice, InvoiceContent, InvoiceLine, InvoiceSpan, LineKind, TaxLine, tax::Treatment},
    money::Money,
    store::StoreError,
    time::{Micros, Period, Window, Zone},
};

/// Columns of the table, in the order of the specification, and our own behind them.
pub(super) const COLUMNS: &[&str] = &[
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_IssuerId",
    "x_CreditNote",
    "x_Line",
    "x_LineKind",
];

/// Digits behind the point of a quantity that does not end.
const QUANTITY_PLACES: u32 = 10;

/// The part of a row that differs between charges of an invoice.
struct Charge<'a> {
    cost_minor: i64,
    category: &'static str,
    frequency: Option<&'static str>,
    description: String,
    line: Option<(usize, &'a InvoiceLine)>,
    /// The number of the credit note that takes it back.
    credit_note: Option<&'a str>,
    period: Window,
}

impl Export {
    /// Rows of invoices.
    pub(super) async fn focus_rows(&self, subtree: bool, after: i64) -> Result<Piece, StoreError> {
        let (invoices, next) = self.store.invoices_in(&self.focus_span(subtree), after, PIECE_ROWS / 10).await?;
        let rows =
            invoices.iter().flat_map(|invoice| charges(invoice).into_iter().flat_map(|charge| charge.row(invoice)));
        Ok((rows.collect(), next))
    }

    /// Rows of credit notes.
    pub(super) async fn focus_corrections(&self, subtree: bool, after: i64) -> Result<Piece, StoreError> {
        let (notes, next) = self.store.credit_notes_in(&self.focus_span(subtree), after, PIECE_ROWS / 10).await?;
        let mut piece = Vec::new();
        for note in &notes {
            let invoice = self.store.invoice(note.invoice).await?;
            piece.extend(corrections(note, &invoice).into_iter().flat_map(|charge| charge.row(&invoice)));
        }
        Ok((piece, next))
    }

    const fn focus_span(&self, subtree: bool) -> InvoiceSpan {
        let (tenant, window) = (Some(self.query.tenant), self.query.window);
        InvoiceSpan { issuer: None, tenant, subtree, window, by_period: true }
    }
}

/// The charges of an invoice.
fn charges(invoice: &Invoice) -> Vec<Charge<'_>> {
    let content = &invoice.content;
    let period = billing_period(invoice);
    let lines = content.lines.iter().enumerate().map(|(place, line)| Charge {
        cost_minor: line.amount_minor,
        category: category(line.kind),
        frequency: Some(frequency(line.kind)),
        description: line.description.clone(),
        line: Some((place, line)),
        credit_note: None,
        period: line.period.unwrap_or(period),
    });
    lines.chain(content.taxes.iter().flat_map(|tax| of_tax(tax, 1, None, period))).collect()
}

/// The charges that a credit note takes back.
fn corrections<'a>(note: &'a CreditNote, invoice: &'a Invoice) -> Vec<Charge<'a>> {
    let period = billing_period(invoice);
    let number = Some(note.number.as_str());
    let lines = note.lines.iter().filter_map(|taken| {
        let line = invoice.content.lines.get(taken.line)?;
        Some(Charge {
            cost_minor: -taken.amount_minor,
            category: category(line.kind),
            frequency: Some(frequency(line.kind)),
            description: format!("{}: {}", note.number, line.description),
            line: Some((taken.line, line)),
            credit_note: number,
            period: line.period.unwrap_or(period),
        })
    });
    lines.chain(note.taxes.iter().flat_map(|tax| of_tax(tax, -1, number, period))).collect()
}

/// The charge of a tax, with what takes it out of prices that include it.
fn of_tax<'a>(tax: &TaxLine, sign: i64, credit_note: Option<&'a str>, period: Window) -> Vec<Charge<'a>> {
    let charge = |category, cost_minor, description: String| Charge {
        cost_minor,
        category,
        frequency: Some("One-Time"),
        description,
        line: None,
        credit_note,
        period,
    };
    let minor = tax.tax_minor * sign;
    let mut charges = Vec::new();
    if minor != 0 {
        charges.push(charge("Tax", minor, format!("Tax {} %", tax.rule.percent)));
        if tax.rule.treatment == Treatment::Inclusive {
            charges.push(charge("Adjustment", -minor, format!("Tax {} % that prices include", tax.rule.percent)));
        }
    }
    charges
}

impl Charge<'_> {
    fn row(&self, invoice: &Invoice) -> Vec<u8> {
        let content = &invoice.content;
        let cost = decimal(Money::from_minor(self.cost_minor, content.currency).digits());
        let billing = billing_period(invoice);
        let priced = Priced::of(self, content);
        let class = if self.credit_note.is_some() { "Correction" } else { "" };
        Row::default()
            .exact(&cost)
            .value(invoice.tenant)
            .text(&content.buyer.name)
            .exact("Tenant")
            .exact(content.currency.code())
            .exact(&time(billing.end))
            .exact(&time(billing.start))
            .exact(self.category)
            .exact(class)
            .text(&self.description)
            .exact(self.frequency.unwrap_or_default())
            .exact(&time(self.period.end))
            .exact(&time(self.period.start))
            .empty(5)
            .exact(&priced.consumed)
            .text(&priced.consumed_unit)
            .exact(&cost)
            .exact(&priced.unit_price)
            .exact(&cost)
            .text(&invoice.number)
            .text(&content.issuer.name)
            .exact(&cost)
            .exact(&priced.unit_price)
            .exact(priced.category)
            .exact(&priced.quantity)
            .text(&priced.unit)
            .text(&content.issuer.name)
            .text(&content.issuer.name)
            .empty(5)
            .exact("Integration")
            .text(content.plan.as_ref().map_or("One-off", |plan| plan.name.as_str()))
            .exact("API Management")
            .text(&priced.sku)
            .text(&priced.meter)
            .text(&priced.sku_price)
            .empty(2)
            .exact("{}")
            .value(invoice.issuer)
            .optional(self.credit_note)
            .exact(&self.line.map(|(place, _)| place.to_string()).unwrap_or_default())
            .exact(self.line.map(|(_, line)| word(line.kind)).unwrap_or_default())
            .end()
    }
}

/// The part of a row about quantities and prices. It is empty for tax and corrections.
#[derive(Default)]
struct Priced {
    category: &'static str,
    quantity: String,
    unit: String,
    unit_price: String,
    consumed: String,
    consumed_unit: String,
    sku: String,
    meter: String,
    sku_price: String,
}

impl Priced {
    fn of(charge: &Charge<'_>, content: &InvoiceContent) -> Self {
        let Some((_, line)) = charge.line else { return Self::default() };
        let meter = line.meter.clone().unwrap_or_default();
        let sku = line.meter.clone().unwrap_or_else(|| word(line.kind).to_owned());
        let plan = content.plan.as_ref().map(|plan| format!("{}@{}", plan.id, plan.version));
        let sku_price = format!("{}:{sku}", plan.as_deref().unwrap_or("one-off"));
        let is_priced = matches!(charge.category, "Usage" | "Purchase") && charge.credit_note.is_none();
        if !is_priced {
            return Self { sku, meter, sku_price, ..Self::default() };
        }
        let quantity = Decimal::try_from_i128_with_scale(line.quantity, 0).unwrap_or(Decimal::MAX);
        let unit = if meter.is_empty() { "Units".to_owned() } else { meter.clone() };
        // A price for many units is the price of one block of them.
        let (blocks, unit, unit_price) = match &line.unit_price {
            Some(price) if price.per > 1 => {
                let blocks = (quantity / Decimal::from(price.per)).round_dp(QUANTITY_PLACES).normalize();
                (blocks, format!("{} {unit}", price.per), decimal(price.amount.normalize().to_string()))
            }
            Some(price) => (quantity, unit, decimal(price.amount.normalize().to_string())),
            None if line.quantity == 1 => {
                (quantity, unit, decimal(Money::from_minor(line.amount_minor, content.currency).digits()))
            }
            None => (quantity, unit, String::new()),
        };
        let is_usage = charge.category == "Usage";
        Self {
            category: "Standard",
            quantity: decimal(blocks.to_string()),
            unit,
            unit_price,
            consumed: if is_usage { decimal(quantity.to_string()) } else { String::new() },
            consumed_unit: match (is_usage, meter.as_str()) {
                (true, "") => "Units".into(),
                (true, meter) => meter.into(),
                (false, _) => String::new(),
            },
            sku,
            meter,
            sku_price,
        }
    }
}

/// A number with a point, so that a column of whole numbers is one of decimals, too.
fn decimal(number: String) -> String {
    if number.contains('.') { number } else { number + ".0" }
}

const fn category(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Included | LineKind::Usage | LineKind::NotCharged | LineKind::Credit => "Usage",
        LineKind::FlatFee | LineKind::Fixed | LineKind::Custom => "Purchase",
        LineKind::Minimum => "Adjustment",
        LineKind::Discount => "Credit",
    }
}

const fn frequency(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Included | LineKind::Usage | LineKind::NotCharged | LineKind::Credit | LineKind::Fixed => {
            "Usage-Based"
        }
        LineKind::FlatFee | LineKind::Minimum => "Recurring",
        LineKind::Custom | LineKind::Discount => "One-Time",
    }
}

/// The period of an invoice; the month of its date, in UTC, for one without.
fn billing_period(invoice: &Invoice) -> Window {
    let utc = Zone::utc();
    let month = || Period::containing(invoice.finalized_at, &utc).and_then(|month| month.window(&utc)).ok();
    let at = invoice.finalized_at;
    invoice.period.or_else(month).unwrap_or(Window { start: at, end: at.plus_seconds(1) })
}

/// An instant in whole seconds.
fn time(at: Micros) -> String {
    Micros(at.0 - at.0.rem_euclid(Micros::PER_SECOND)).to_string()
}
