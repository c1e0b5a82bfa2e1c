//! Content of each kind of document: from frozen content to the data of a template.

use common::{
    branding::{Branding, Paper},
    invoice::{
        Address, CreditNote, Invoice, InvoiceContent, InvoiceLine, InvoiceStatus, Party, TaxLine, tax::Treatment,
    },
    money::{Money, MoneyError},
    payment::Payment,
    time::{Micros, TimeError, Window, Zone},
};

use super::{
    data::{Column, DocumentData, Fact, PartyData, Table, TemplateWords, Total},
    words::Words,
};

/// Colour of titles and rules unless the branding states one.
const COLOUR: &str = "#1f3a5f";

/// The reason for which a document cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// An amount does not fit.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// A day is outside the calendar.
    #[error(transparent)]
    Day(#[from] TimeError),
}

/// The looks and the language of a document.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    /// The issuer's branding.
    pub branding: &'a Branding,
    /// The language.
    pub language: &'a str,
    /// Its words.
    pub words: &'a Words,
}

/// A document with nothing in it yet.
pub(super) fn blank(
    look: Look<'_>,
    (kind, heading, number): (&'static str, &str, &str),
    (issuer, buyer): (&Party, &Party),
) -> DocumentData {
    let Look { branding, words, .. } = look;
    DocumentData {
        kind,
        language: look.language.to_owned(),
        colour: branding.colour.clone().unwrap_or_else(|| COLOUR.into()),
        paper: match branding.paper {
            Paper::A4 => "a4",
            Paper::UsLetter => "us-letter",
        },
        logo: branding.logo.as_ref().map(|logo| format!("logo.{}", logo.extension())),
        heading: heading.to_owned(),
        title: format!("{heading} {number}"),
        number: number.to_owned(),
        issuer: party(issuer),
        buyer: party(buyer),
        facts: Vec::new(),
        introduction: Vec::new(),
        table: Table { columns: Vec::new(), rows: Vec::new() },
        totals: Vec::new(),
        notes: Vec::new(),
        footer: footer(look, issuer),
        words: TemplateWords { tax_id: words.tax_id.clone(), page: words.page.clone() },
    }
}

fn party(party: &Party) -> PartyData {
    PartyData {
        name: party.name.clone(),
        address: party.address.as_ref().map(address).unwrap_or_default(),
        email: party.email.clone(),
        tax_id: party.tax_id.clone(),
    }
}

/// An address as it is written on letters.
fn address(address: &Address) -> Vec<String> {
    let city = match &address.postal_code {
        Some(code) => format!("{code} {}", address.city),
        None => address.city.clone(),
    };
    address.lines.iter().cloned().chain([city, address.country.clone()]).collect()
}

/// The texts at the foot of each page: who issues, how to reach and to pay it.
fn footer(Look { branding, words, .. }: Look<'_>, issuer: &Party) -> Vec<String> {
    let mut texts = vec![issuer.name.clone()];
    texts.extend(issuer.tax_id.as_ref().map(|tax_id| format!("{}\u{a0}{tax_id}", words.tax_id)));
    if let Some(contact) = &branding.contact {
        texts.extend([&contact.name, &contact.phone, &contact.email].into_iter().flatten().cloned());
    } else {
        texts.extend(issuer.email.clone());
    }
    if let Some(bank) = &branding.bank {
        texts.push(format!("IBAN\u{a0}{}", bank.iban));
        texts.extend(bank.bic.as_ref().map(|bic| format!("BIC\u{a0}{bic}")));
    }
    texts.extend(branding.footer.iter().cloned());
    texts
}

pub(super) fn fact(name: &'static str, label: &str, value: impl Into<String>) -> Fact {
    Fact { name, label: label.into(), value: value.into() }
}

pub(super) fn total(words: &Words, name: &'static str, label: impl Into<String>, amount: Money) -> Total {
    Total { name, label: label.into(), amount: words.money(amount), strong: false }
}

fn strong(total: Total) -> Total {
    Total { strong: true, ..total }
}

/// The zone on whose clocks the days of an invoice are.
fn zone(content: &InvoiceContent) -> Zone {
    content.period.as_ref().map_or_else(Zone::utc, |period| Zone::stored(&period.zone).or_utc())
}

/// The days of a half-open range of time.
pub(super) fn days(words: &Words, window: Window, zone: &Zone) -> Result<String, TimeError> {
    let last = Micros((window.end.0 - 1).max(window.start.0));
    Ok(words.days((zone.date(window.start)?, zone.date(last)?)))
}

/// An invoice. It says the same for ever, but for whether the invoice was voided: what was paid is
/// on receipts and statements.
pub(super) fn invoice(invoice: &Invoice, look: Look<'_>) -> Result<DocumentData, PaperError> {
    let (content, words) = (&invoice.content, look.words);
    let (zone, money) = (zone(content), |minor| Money::from_minor(minor, content.currency));
    let mut data = blank(look, ("invoice", &words.invoice, &invoice.number), (&content.issuer, &content.buyer));
    let due = words.day(zone.date(invoice.due_at)?);
    data.facts.push(fact("number", &words.number, &invoice.number));
    data.facts.push(fact("date", &words.date_of_issue, words.day(zone.date(invoice.finalized_at)?)));
    data.facts.push(fact("due", &words.due, &due));
    if let Some(period) = &content.period {
        data.facts.push(fact("period", &words.period, days(words, period.window, &zone)?));
    }
    data.facts.extend(content.plan.as_ref().map(|plan| fact("plan", &words.plan, &plan.name)));
    data.facts.push(fact("customer", &words.customer, content.buyer.tenant.to_string()));
    data.table.columns = columns(words);
    data.table.rows = rows(words, content, &zone)?;
    data.totals = sums(words, &content.taxes, money)?;
    let to_pay = invoice.total.checked_sub(invoice.credit_used)?;
    data.totals.push(strong(total(words, "total", &words.total, invoice.total)));
    if !invoice.credit_used.is_zero() {
        let used = money(invoice.credit_used.minor().checked_neg().ok_or(MoneyError::Overflow)?);
        data.totals.push(total(words, "credit_used", &words.credit_used, used));
        data.totals.push(strong(total(words, "open", &words.open, to_pay)));
    }
    data.notes.extend(content.memo.clone());
    data.notes.extend(remarks(words, &content.taxes));
    if invoice.status == InvoiceStatus::Void {
        data.notes.push(words.voided.clone());
    } else if to_pay.minor() > 0 {
        let terms = words.terms.replace("{amount}", &words.money(to_pay)).replace("{date}", &due);
        data.notes.push(terms.replace("{number}", &invoice.number));
        data.notes.extend(look.branding.payment_terms.clone());
    } else {
        data.notes.push(words.settled.clone());
    }
    Ok(data)
}

/// A credit note of an invoice.
pub(super) fn credit_note(note: &CreditNote, invoice: &Invoice, look: Look<'_>) -> Result<DocumentData, PaperError> {
    let (content, words) = (&invoice.content, look.words);
    let (zone, money) = (zone(content), |minor| Money::from_minor(minor, content.currency));
    let mut data = blank(look, ("credit_note", &words.credit_note, &note.number), (&content.issuer, &content.buyer));
    data.facts.push(fact("number", &words.number, &note.number));
    data.facts.push(fact("date", &words.date_of_issue, words.day(zone.date(note.issued_at)?)));
    data.facts.push(fact("invoice", &words.of_invoice, &invoice.number));
    data.facts.push(fact("customer", &words.customer, content.buyer.tenant.to_string()));
    data.table.columns = vec![
        Column::text("description", &words.description),
        Column::number("tax", &words.tax_rate),
        Column::number("amount", &words.amount_of_line),
    ];
    for taken in &note.lines {
        if let Some(line) = content.lines.get(taken.line) {
            let [description, _, _, tax, amount] = cells(words, line, money(taken.amount_minor), &zone)?;
            let section = content.section_of(taken.line).and_then(|place| content.sections.get(place));
            let description = section.map_or(description.clone(), |one| format!("{}: {description}", one.name));
            data.table.rows.push(vec![description, tax, amount]);
        }
    }
    data.totals = sums(words, &note.taxes, money)?;
    data.totals.push(strong(total(words, "total", &words.credit_total, note.total)));
    data.notes.push(format!("{}: {}", words.reason, note.reason));
    data.notes.extend(remarks(words, &note.taxes));
    Ok(data)
}

/// The receipt of a payment, or of a refund.
pub(super) fn receipt(payment: &Payment, invoice: &Invoice, look: Look<'_>) -> Result<DocumentData, PaperError> {
    let (content, words) = (&invoice.content, look.words);
    let zone = zone(content);
    let number = payment.id.to_string();
    let mut data = blank(look, ("receipt", &words.receipt, &number), (&content.issuer, &content.buyer));
    data.title = format!("{} {}", words.receipt, invoice.number);
    data.facts.push(fact("number", &words.number, &number));
    data.facts.push(fact("received", &words.received, words.day(zone.date(payment.received_at)?)));
    data.facts.push(fact("invoice", &words.of_invoice, &invoice.number));
    data.facts.push(fact("method", &words.method, payment.method.replace('_', " ")));
    data.facts.push(fact("reference", &words.reference, &payment.reference));
    data.table.columns =
        vec![Column::text("description", &words.description), Column::number("amount", &words.amount_of_line)];
    let day = words.day(zone.date(invoice.finalized_at)?);
    let about = format!("{} {}\n{day}", words.invoice, invoice.number);
    data.table.rows.push(vec![about, words.money_digits(invoice.total)]);
    let (label, amount) = match payment.amount.minor() {
        minor if minor < 0 => (&words.refunded, minor.checked_neg().ok_or(MoneyError::Overflow)?),
        minor => (&words.amount_paid, minor),
    };
    data.totals.push(strong(total(words, "paid", label, Money::from_minor(amount, content.currency))));
    Ok(data)
}

fn columns(words: &Words) -> Vec<Column> {
    vec![
        Column::text("description", &words.description),
        Column::number("quantity", &words.quantity),
        Column::number("unit_price", &words.unit_price),
        Column::number("tax", &words.tax_rate),
        Column::number("amount", &words.amount_of_line),
    ]
}

/// The rows of all lines. Those of an invoice for several tenants stand between the name of each
/// and the sum of its section.
fn rows(words: &Words, content: &InvoiceContent, zone: &Zone) -> Result<Vec<Vec<String>>, TimeError> {
    let money = |minor| Money::from_minor(minor, content.currency);
    let row = |line: &InvoiceLine| Ok(cells(words, line, money(line.amount_minor), zone)?.into());
    if content.sections.is_empty() {
        return content.lines.iter().map(row).collect();
    }
    let mut rows = Vec::with_capacity(content.lines.len() + 2 * content.sections.len());
    let none = String::new;
    for (place, section) in content.sections.iter().enumerate() {
        let of_section = Zone::stored(&section.period.zone).or_utc();
        let head = format!("{}\n{}", section.name, days(words, section.period.window, &of_section)?);
        rows.push(vec![head, none(), none(), none(), none()]);
        for line in content.lines_of(place) {
            rows.push(row(line)?);
        }
        let sum = words.money_digits(money(section.subtotal_minor));
        rows.push(vec![format!("{}: {}", section.name, words.subtotal), none(), none(), none(), sum]);
    }
    Ok(rows)
}

/// Description, quantity, price, tax and amount of a line.
fn cells(words: &Words, line: &InvoiceLine, amount: Money, zone: &Zone) -> Result<[String; 5], TimeError> {
    let mut description = line.description.clone();
    if let Some(period) = line.period {
        description = format!("{description}\n{}", days(words, period, zone)?);
    }
    let price = line.unit_price.map_or(String::new(), |price| {
        let amount = words.digits(&price.amount.to_string());
        match price.per {
            1 => amount,
            units => words.per_units.replace("{price}", &amount).replace("{units}", &words.digits(&units.to_string())),
        }
    });
    let percent = words.digits(&line.tax.percent.normalize().to_string());
    let tax = format!("{percent}\u{a0}%");
    Ok([description, words.digits(&line.quantity.to_string()), price, tax, words.money_digits(amount)])
}

/// The sum without tax, and the tax of each rule.
fn sums(words: &Words, taxes: &[TaxLine], money: impl Fn(i64) -> Money) -> Result<Vec<Total>, MoneyError> {
    let net = taxes.iter().try_fold(money(0), |sum, tax| sum.checked_add(money(tax.net_minor)))?;
    let mut totals = vec![total(words, "subtotal", &words.subtotal, net)];
    for tax in taxes.iter().filter(|tax| !tax.rule.percent.is_zero()) {
        let percent = words.digits(&tax.rule.percent.normalize().to_string());
        let text = if tax.rule.is_inclusive() { &words.tax_included } else { &words.tax };
        let label = text.replace("{percent}", &percent).replace("{net}", &words.money(money(tax.net_minor)));
        totals.push(total(words, "tax", label, money(tax.tax_minor)));
    }
    Ok(totals)
}

/// The remarks that rules of tax ask for.
fn remarks<'a>(words: &'a Words, taxes: &'a [TaxLine]) -> impl Iterator<Item = String> + 'a {
    let of_treatment = [(Treatment::ReverseCharge, &words.reverse_charge), (Treatment::Exempt, &words.exempt)];
    let is_there = |treatment| taxes.iter().any(move |tax| tax.rule.treatment == treatment);
    of_treatment.into_iter().filter(move |(treatment, _)| is_there(*treatment)).map(|(_, text)| text.clone())
}
