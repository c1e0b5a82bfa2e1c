//! The model of EN 16931: what both written forms say. Terms of the norm are in brackets.

use common::{
    branding::Branding,
    invoice::{CreditNote, Invoice, InvoiceContent, Party, TaxLine, tax::Treatment},
    money::{Currency, Decimal, Money, decimal_places},
    time::{Date, Micros, Window, Zone},
};

use super::{
    ElectronicInvoiceError,
    electronic_address::{self, ElectronicAddress},
    lines::{Counted, ElectronicLine, lines},
};

/// Decimal places that the norm allows.
const PLACES_MAX: u32 = 2;

/// An invoice or credit note in the terms of EN 16931.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectronicInvoice {
    pub(super) is_credit_note: bool,
    pub(super) number: String,
    pub(super) issued: Date,
    pub(super) due: Option<Date>,
    pub(super) currency: Currency,
    /// The name by which the buyer finds the invoice [BT-10].
    pub(super) buyer_reference: String,
    pub(super) notes: Vec<String>,
    /// Number and day of the invoice that a credit note corrects [BG-3].
    pub(super) preceding: Option<(String, Date)>,
    pub(super) seller: Side,
    pub(super) buyer: Side,
    /// First and last day [BG-14].
    pub(super) period: Option<(Date, Date)>,
    pub(super) lines: Vec<Line>,
    /// Tax by category and rate [BG-23].
    pub(super) taxes: Vec<Tax>,
    pub(super) net: Money,
    pub(super) tax: Money,
    pub(super) total: Money,
    pub(super) paid: Money,
    pub(super) due_amount: Money,
    pub(super) terms: Option<String>,
    pub(super) bank: Option<common::branding::BankAccount>,
}

/// The seller or buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    pub party: Party,
    pub address: common::invoice::Address,
    pub electronic: Option<ElectronicAddress>,
    pub contact: Option<common::branding::Contact>,
}

/// A line, with the days of its period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub line: ElectronicLine,
    pub period: Option<(Date, Date)>,
}

/// Tax of a category and rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tax {
    pub category: &'static str,
    pub percent: Decimal,
    pub net: Money,
    pub amount: Money,
    pub reason: Option<&'static str>,
}

/// The parts in which an invoice and a credit note differ.
struct Own<'a> {
    number: &'a str,
    issued_at: Micros,
    due_at: Option<Micros>,
    preceding: Option<(String, Date)>,
    note: Option<&'a str>,
    counted: Vec<Counted<'a>>,
    taxes: &'a [TaxLine],
    paid: Money,
}

pub(super) fn of_invoice(invoice: &Invoice, branding: &Branding) -> Result<ElectronicInvoice, ElectronicInvoiceError> {
    let content = &invoice.content;
    let own = Own {
        number: &invoice.number,
        issued_at: invoice.finalized_at,
        due_at: Some(invoice.due_at),
        preceding: None,
        note: content.memo.as_deref(),
        counted: (0..content.lines.len()).filter_map(|place| counted(content, place, None)).collect(),
        taxes: &content.taxes,
        paid: invoice.credit_used,
    };
    assemble(content, own, branding)
}

pub(super) fn of_credit_note(
    note: &CreditNote,
    invoice: &Invoice,
    branding: &Branding,
) -> Result<ElectronicInvoice, ElectronicInvoiceError> {
    let content = &invoice.content;
    let counted = note.lines.iter().filter_map(|taken| counted(content, taken.line, Some(taken.amount_minor)));
    let own = Own {
        number: &note.number,
        issued_at: note.issued_at,
        due_at: None,
        preceding: Some((invoice.number.clone(), zone(content).date(invoice.finalized_at)?)),
        note: Some(&note.reason),
        counted: counted.collect(),
        taxes: &note.taxes,
        paid: Money::zero(content.currency),
    };
    assemble(content, own, branding)
}

/// A line of a document, with the amount of it that counts if that is not all of it.
fn counted(content: &InvoiceContent, place: usize, amount_minor: Option<i64>) -> Option<Counted<'_>> {
    let line = content.lines.get(place)?;
    let section = content.section_of(place).and_then(|section| content.sections.get(section));
    let about = section.map(|section| section.name.as_str());
    Some(Counted { line, about, amount_minor: amount_minor.unwrap_or(line.amount_minor) })
}

/// The zone on whose clocks the days of a document are.
fn zone(content: &InvoiceContent) -> Zone {
    content.period.as_ref().map_or_else(Zone::utc, |period| Zone::stored(&period.zone).or_utc())
}

fn assemble(
    content: &InvoiceContent,
    own: Own<'_>,
    branding: &Branding,
) -> Result<ElectronicInvoice, ElectronicInvoiceError> {
    let currency = content.currency;
    if decimal_places(currency) > PLACES_MAX {
        return Err(ElectronicInvoiceError::Currency(currency));
    }
    let seller = side(&content.issuer, branding.contact.clone())?;
    let buyer = side(&content.buyer, None)?;
    let is_reverse = own.taxes.iter().any(|tax| tax.rule.treatment == Treatment::ReverseCharge);
    if seller.party.tax_id.is_none() {
        return Err(ElectronicInvoiceError::SellerTaxId(seller.party.name));
    }
    if is_reverse && buyer.party.tax_id.is_none() {
        return Err(ElectronicInvoiceError::BuyerTaxId(buyer.party.name));
    }
    let zone = zone(content);
    let lines: Vec<Line> = lines(&own.counted, own.taxes, currency)?
        .into_iter()
        .map(|line| Ok(Line { period: line.period.map(|period| days(period, &zone)).transpose()?, line }))
        .collect::<Result<_, ElectronicInvoiceError>>()?;
    let taxes = by_category(own.taxes, currency)?;
    let net = Money::sum(lines.iter().map(|line| line.line.net), currency)?;
    let tax = Money::sum(taxes.iter().map(|tax| tax.amount), currency)?;
    let total = net.checked_add(tax)?;
    let period = content.period.as_ref().map(|period| days(period.window, &zone)).transpose()?;
    Ok(ElectronicInvoice {
        is_credit_note: own.preceding.is_some(),
        number: own.number.to_owned(),
        issued: zone.date(own.issued_at)?,
        due: own.due_at.map(|due_at| zone.date(due_at)).transpose()?,
        currency,
        buyer_reference: content.buyer.tenant.to_string(),
        notes: own.note.map(str::to_owned).into_iter().collect(),
        preceding: own.preceding,
        seller,
        buyer,
        period: hull(period, &lines),
        lines,
        taxes,
        net,
        tax,
        total,
        paid: own.paid,
        due_amount: total.checked_sub(own.paid)?,
        terms: branding.payment_terms.clone(),
        bank: branding.bank.clone(),
    })
}

fn side(party: &Party, contact: Option<common::branding::Contact>) -> Result<Side, ElectronicInvoiceError> {
    let address = party.address.clone().ok_or_else(|| ElectronicInvoiceError::Address(party.name.clone()))?;
    Ok(Side { electronic: electronic_address::of(party), party: party.clone(), address, contact })
}

/// First and last day of a half-open range of time.
fn days(window: Window, zone: &Zone) -> Result<(Date, Date), ElectronicInvoiceError> {
    let last = Micros((window.end.0 - 1).max(window.start.0));
    Ok((zone.date(window.start)?, zone.date(last)?))
}

/// The days from the first to the last of the invoice and of its lines: lines about late usage have
/// earlier periods, and a line's has to lie within that of the invoice.
fn hull(period: Option<(Date, Date)>, lines: &[Line]) -> Option<(Date, Date)> {
    let all = period.into_iter().chain(lines.iter().filter_map(|line| line.period));
    all.reduce(|(start, end), (other_start, other_end)| (start.min(other_start), end.max(other_end)))
}

/// Tax by category and rate: rules that differ only in how amounts are written become one.
fn by_category(taxes: &[TaxLine], currency: Currency) -> Result<Vec<Tax>, ElectronicInvoiceError> {
    let mut sums: Vec<Tax> = Vec::new();
    for one in taxes {
        let (category, percent) = (one.rule.category(), one.rule.percent.normalize());
        let (net, amount) = (Money::from_minor(one.net_minor, currency), Money::from_minor(one.tax_minor, currency));
        match sums.iter_mut().find(|sum| sum.category == category && sum.percent == percent) {
            Some(sum) => {
                sum.net = sum.net.checked_add(net)?;
                sum.amount = sum.amount.checked_add(amount)?;
            }
            None => sums.push(Tax { category, percent, net, amount, reason: one.rule.note() }),
        }
    }
    Ok(sums)
}

/// The means of payment, by UNTDID 4461: a SEPA transfer of euros, or a transfer.
pub(super) fn transfer(currency: Currency) -> &'static str {
    if currency == Currency::EUR { "58" } else { "30" }
}
