//! Expected outcome of the year: a small model of prices, dates and campaigns that shares nothing
//! with the program but the price list.
//!
//! Amounts are whole minor units; fractions are pairs of whole numbers, rounded once, halves away from
//! zero.

use crate::{
    calendar::{Day, day},
    tenants::{Kind, LIVES, Life},
};

/// Minor units that the provider keeps for a dispute.
pub(crate) const DISPUTE_FEE: i64 = 1_500;

/// An invoice that must come, and what is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bill {
    /// The day on which it is issued.
    pub(crate) day: Day,
    /// Its total as events write it.
    pub(crate) total: String,
    /// Events about it, in their order, each with its day.
    pub(crate) told: Vec<(Day, &'static str)>,
}

const FINALIZED: &str = "invoice.finalized";
const SUCCEEDED: &str = "payment.succeeded";
const FAILED: &str = "payment.failed";
const TO_CONFIRM: &str = "payment.action_required";
const UNPAID: &str = "invoice.unpaid";
const PAID: &str = "invoice.paid";
const REFUNDED: &str = "payment.refunded";
const DISPUTED: &str = "payment.disputed";
const DISPUTE_CLOSED: &str = "payment.dispute_closed";

/// All bills of a tenant, in the order in which they are issued.
pub(crate) fn bills(life: &Life) -> Vec<Bill> {
    match life.name {
        "Anna" => anna(life),
        "Boris" => boris(life),
        "Clara" => clara(life),
        "Dmitri" => monthly(life, 12, |month, units| match month {
            1..=6 => scale(units),
            // The pause takes the fee and leaves the price of usage.
            10 => former_team(units) - 4_900,
            _ => former_team(units),
        }),
        "Elena" => elena(life),
        "Farid" => farid(life),
        "Grace" => grace(life),
        "Hugo" => hugo(life),
        "Jin" => jin(life),
        "Karo" => karo(life),
        "Lara" => monthly(life, 12, retail),
        "Milo" => monthly(life, 12, retail).into_iter().map(by_credit).collect(),
        other => panic!("{other} is not in the model"),
    }
}

/// Tenants that gateways refuse: from the first day on, up to before the second.
pub(crate) struct Suspension {
    pub(crate) of: &'static [&'static str],
    pub(crate) from: Day,
    pub(crate) to: Day,
}

/// Two weeks after an invoice that a stolen card does not pay, up to the transfer; of a reseller with
/// everybody below it.
pub(crate) fn suspensions() -> [Suspension; 2] {
    [
        Suspension { of: &["Farid"], from: day("04-15"), to: day("04-18") },
        Suspension { of: &["Karo", "Lara", "Milo"], from: day("11-15"), to: day("11-17") },
    ]
}

/// Minor units in Milo's wallet at the end: filled up to 100.00 on the day after a bill has left less
/// than 30.00.
pub(crate) fn wallet() -> u64 {
    let bills: Vec<_> = LIVES.iter().filter(|life| life.name == "Milo").flat_map(bills).collect();
    bills.iter().fold(10_000, |balance, bill| {
        let left = balance - minor(bill);
        if left < 3_000 { 10_000 } else { left }
    })
}

/// Minor units of each currency that the provider has kept for disputes: 15.00 for each.
pub(crate) fn fees() -> [(&'static str, i64); 2] {
    [("EUR", DISPUTE_FEE), ("USD", DISPUTE_FEE)]
}

/// The total of a bill, in minor units.
fn minor(bill: &Bill) -> u64 {
    bill.total.replace('.', "").parse().unwrap()
}

/// Money that tenants have paid by card, as decimals of minor units by currency, once the year is over.
pub(crate) fn charged_by_card() -> Vec<(&'static str, u64)> {
    let by_card = |life: &Life, bill: &Bill| {
        let is_paid = bill.told.iter().any(|(_, kind)| *kind == SUCCEEDED);
        let by_transfer = match life.name {
            "Jin" => true,
            "Farid" => bill.day == day("04-01"),
            "Karo" => bill.day == day("11-01"),
            _ => false,
        };
        is_paid && !by_transfer
    };
    let sum = |life: &Life| bills(life).iter().filter(|bill| by_card(life, bill)).map(minor).sum::<u64>();
    let of = |currency: &str| LIVES.iter().filter(|life| currency_of(life) == currency).map(sum).sum();
    vec![("EUR", of("EUR")), ("USD", of("USD"))]
}

pub(crate) fn currency_of(life: &Life) -> &'static str {
    match life.name {
        "Clara" => "EUR",
        "Jin" => "JPY",
        _ => "USD",
    }
}

/// `numerator / denominator`, halves away from zero.
fn rounded(numerator: u64, denominator: u64) -> u64 {
    (2 * numerator + denominator) / (2 * denominator)
}

/// With so many percent of tax on top.
fn with_tax(net: u64, percent: u64) -> u64 {
    net + rounded(net * percent, 100)
}

/// 49.00, and 59.00 from July on, of which 1,000 units are part; each other one costs 0.02.
fn team(month: usize, units: u64) -> u64 {
    former_team(units) + if month < 7 { 0 } else { 1_000 }
}

/// The same without the new price.
fn former_team(units: u64) -> u64 {
    4_900 + units.saturating_sub(1_000) * 2
}

/// 199.00, of which 10,000 units are part; the next 5,000 cost 0.01, all others 0.005.
fn scale(units: u64) -> u64 {
    let beyond = units.saturating_sub(10_000);
    19_900 + beyond.min(5_000) + rounded(beyond.saturating_sub(5_000), 2)
}

/// 20.00, of which 10,000 units are part; 1,000 others cost 2.00.
fn retail(_month: usize, units: u64) -> u64 {
    2_000 + rounded(units.saturating_sub(10_000), 5)
}

fn cents(minor: u64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// A bill that is paid by card on the day on which it is issued.
fn at_once(day: Day, minor: u64) -> Bill {
    Bill { day, total: cents(minor), told: [FINALIZED, SUCCEEDED, PAID].map(|kind| (day, kind)).into() }
}

/// A bill that is paid from a wallet.
fn by_credit(bill: Bill) -> Bill {
    Bill { told: [FINALIZED, PAID].map(|kind| (bill.day, kind)).into(), ..bill }
}

/// The first day after a month.
fn after(month: usize) -> Day {
    Day::of(month + 1, 1)
}

/// A bill for each month from the tenant's first one on.
fn monthly(life: &Life, last: usize, price: impl Fn(usize, u64) -> u64) -> Vec<Bill> {
    let first = life.joined().date().0;
    (first..=last).map(|month| at_once(after(month), price(month, life.units_of(month)))).collect()
}

/// Usage in the trial costs nothing. August is disputed, and stays paid.
fn anna(life: &Life) -> Vec<Bill> {
    let mut bills = monthly(life, 12, |month, units| match month {
        1 => team(1, life.units_on(day("01-20")).unwrap_or_default()),
        _ => team(month, units),
    });
    bills[7].told.extend([(day("09-10"), DISPUTED), (day("10-06"), DISPUTE_CLOSED)]);
    bills
}

/// 1,200.00 as the year begins. 20,000 units are part of it, each other one costs 0.01, billed once it
/// comes to 50.00 or more.
fn boris(life: &Life) -> Vec<Bill> {
    let mut bills = vec![at_once(life.joined(), 120_000)];
    let (mut used, mut billed) = (0, 0);
    for day in Day::all() {
        let Some(units) = life.units_on(day) else { continue };
        used += units;
        let due = u64::saturating_sub(used, 20_000) - billed;
        if due >= 5_000 {
            bills.push(at_once(day, due));
            billed += due;
        }
    }
    bills
}

/// In advance, with 19 % of tax. January has 744 hours, of which 733 are left at 11 o'clock on the first
/// of them: 30.00 x 733 / 744. May has 744 hours as well: 396 of the basic plan, 348 of the other.
/// September is open again as its dispute is lost, is reminded of on days 0 and 3 after that, and is paid
/// by transfer.
fn clara(life: &Life) -> Vec<Bill> {
    let mut bills = vec![at_once(life.joined(), with_tax(rounded(3_000 * 733, 744), 19))];
    for month in 1..=12 {
        let usage = life.units_of(month).saturating_sub(1_000);
        let next = if month < 5 { 3_000 } else { 9_000 };
        let upgrade = rounded(3_000 * 396, 744) + rounded(9_000 * 348, 744) - 3_000;
        let more = if month == 5 { upgrade } else { 0 };
        bills.push(at_once(after(month), with_tax(usage + next + more, 19)));
    }
    let (lost, paid) = (day("10-22"), day("10-26"));
    bills[9].told.push((day("10-08"), DISPUTED));
    bills[9].told.extend([REFUNDED, DISPUTE_CLOSED, UNPAID].map(|kind| (lost, kind)));
    bills[9].told.extend([(lost.plus(3), UNPAID), (paid, SUCCEEDED), (paid, PAID)]);
    bills
}

/// January is declined twice and paid by the new card; 700 units of July are on the bill of August.
fn elena(life: &Life) -> Vec<Bill> {
    let late = |month| if month == 8 { 700 * 2 } else { 0 };
    let mut bills = monthly(life, 12, |month, units| team(month, units) + late(month));
    let (first, third, new_card) = (day("02-01"), day("02-04"), day("02-05"));
    bills[0].told = vec![
        (first, FINALIZED),
        (first, FAILED),
        (first, UNPAID),
        (third, FAILED),
        (new_card, SUCCEEDED),
        (new_card, PAID),
    ];
    bills
}

/// March is declined for good.
fn farid(life: &Life) -> Vec<Bill> {
    let mut bills = monthly(life, 12, team);
    bills[2].told = suspended_until(day("04-01"), day("04-18"));
    bills
}

/// 100.00, and 0.70 for 1,000 units of its customers. October is declined for good.
fn karo(life: &Life) -> Vec<Bill> {
    let mut bills = monthly(life, 12, |month, _| {
        let below = LIVES.iter().filter(|life| life.kind == Kind::Retail).map(|life| life.units_of(month));
        10_000 + rounded(below.sum::<u64>() * 7, 100)
    });
    bills[9].told = suspended_until(day("11-01"), day("11-17"));
    bills
}

/// Reminders on days 0, 3, 5 and 7, suspension on day 14, then a transfer.
fn suspended_until(first: Day, transfer: Day) -> Vec<(Day, &'static str)> {
    let mut told = vec![(first, FINALIZED), (first, FAILED)];
    told.extend([0, 3, 5, 7, 14].map(|days| (first.plus(days), UNPAID)));
    told.extend([SUCCEEDED, PAID].map(|kind| (transfer, kind)));
    told
}

/// The first payment waits until it is confirmed.
fn grace(life: &Life) -> Vec<Bill> {
    let mut bills = monthly(life, 8, team);
    let first = bills[0].day;
    bills[0].told.insert(1, (first, TO_CONFIRM));
    bills
}

/// A quarter less from March to May; of May, a credit note takes back 40.00.
fn hugo(life: &Life) -> Vec<Bill> {
    let mut bills = monthly(life, 12, |month, units| {
        let whole = scale(units);
        if month <= 5 { whole - rounded(whole * 25, 100) } else { whole }
    });
    bills[2].told.extend(["credit_note.created", REFUNDED].map(|kind| (day("06-10"), kind)));
    bills
}

/// 5,000, and 330 for each 100 units that are begun, with 10 % of tax. Paid by transfer, July late; May is
/// voided on the 3rd of June and issued anew.
fn jin(life: &Life) -> Vec<Bill> {
    let bill = |month: usize| {
        let net = 5_000 + life.units_of(month).div_ceil(100) * 330;
        let day = after(month);
        let mut told = vec![(day, FINALIZED)];
        match month {
            7 => {
                told.extend([14, 17].map(|days| (day.plus(days), UNPAID)));
                told.extend([SUCCEEDED, PAID].map(|kind| (day.plus(19), kind)));
            }
            12 => {}
            _ => told.extend([SUCCEEDED, PAID].map(|kind| (day.plus(5), kind))),
        }
        Bill { day, total: with_tax(net, 10).to_string(), told }
    };
    let mut bills: Vec<_> = (1..=12).map(bill).collect();
    let (voided, third) = (&mut bills[4], day("06-03"));
    let mut again = voided.clone();
    voided.told = vec![(voided.day, FINALIZED), (third, "invoice.voided")];
    again.day = third;
    again.told[0].0 = third;
    bills.insert(5, again);
    bills
}
