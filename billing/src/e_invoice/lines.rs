//! Lines as the norm wants them: without tax, with prices that are not below zero, and with sums
//! that are those of the document.

use common::{
    invoice::{InvoiceLine, TaxLine, tax::TaxRule},
    money::{Currency, Exact, Money, MoneyError, UnitPrice},
    time::Window,
};

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ElectronicLine {
    /// The text that people read.
    pub name: String,
    /// Units.
    pub quantity: i128,
    /// Price of `per` units, in major units, not below zero.
    pub price: String,
    /// Units of the price.
    pub per: u64,
    /// Amount without tax.
    pub net: Money,
    /// The rule by which it is taxed.
    pub tax: TaxRule,
    /// The period that it bills, if that is not the invoice's.
    pub period: Option<Window>,
}

/// A line of a document: the line of the invoice, and the amount of it that counts.
pub(super) struct Counted<'a> {
    pub line: &'a InvoiceLine,
    /// Name of the tenant that it is about, on a document for several.
    pub about: Option<&'a str>,
    pub amount_minor: i64,
}

/// All lines. Where amounts contain tax, it is taken out of each, and what rounding leaves over is
/// put on the largest, so that the lines of each rule add up to what the document taxes.
pub(super) fn lines(
    counted: &[Counted<'_>],
    taxes: &[TaxLine],
    currency: Currency,
) -> Result<Vec<ElectronicLine>, MoneyError> {
    let money = |minor| Money::from_minor(minor, currency);
    let mut nets: Vec<Money> = Vec::with_capacity(counted.len());
    for one in counted {
        let amount = money(one.amount_minor);
        let contained = if one.line.tax.is_inclusive() { one.line.tax.contained_in(amount)? } else { money(0) };
        nets.push(amount.checked_sub(contained)?);
    }
    for tax in taxes.iter().filter(|tax| tax.rule.is_inclusive()) {
        let of_rule = |place: &usize| counted[*place].line.tax == tax.rule;
        let sum = Money::sum((0..nets.len()).filter(of_rule).map(|place| nets[place]), currency)?;
        let left = money(tax.net_minor).checked_sub(sum)?;
        let largest = (0..nets.len()).filter(of_rule).max_by_key(|place| nets[*place].minor().unsigned_abs());
        if let Some(largest) = largest {
            nets[largest] = nets[largest].checked_add(left)?;
        }
    }
    counted.iter().zip(nets).map(|(one, net)| line(one, net, currency)).collect()
}

fn line(counted: &Counted<'_>, net: Money, currency: Currency) -> Result<ElectronicLine, MoneyError> {
    let Counted { line, about, amount_minor } = counted;
    let is_whole = *amount_minor == line.amount_minor && !line.tax.is_inclusive();
    let (quantity, price, per) = match line.unit_price.filter(|_| is_whole) {
        Some(price) if gives(price, line.quantity, net) => {
            (line.quantity, price.amount.normalize().to_string(), price.per)
        }
        _ if net.is_zero() && line.quantity > 0 => (line.quantity, "0".into(), 1),
        // The price is that of all units together.
        _ => {
            let price = Money::from_minor(net.minor().checked_abs().ok_or(MoneyError::Overflow)?, currency);
            (if net.minor() < 0 { -1 } else { 1 }, price.digits(), 1)
        }
    };
    let name = about.map_or_else(|| line.description.clone(), |about| format!("{about}: {}", line.description));
    let (tax, period) = (line.tax, line.period);
    Ok(ElectronicLine { name, quantity, price, per, net, tax, period })
}

/// Returns true if the price and quantity of a line give its amount, as the norm's rules check: to
/// two decimal places, in every currency.
fn gives(price: UnitPrice, quantity: i128, net: Money) -> bool {
    let apart = price.exact_for(quantity) - Exact::from(net);
    let apart = if apart.is_negative() { -apart } else { apart };
    let is_price = !Exact::from(price.amount).is_negative() && price.per > 0;
    is_price && !(Exact::ratio(1, 200) - apart).is_negative()
}
