//! Late usage: what was booked of a period after its invoice.

use std::collections::{BTreeMap, HashMap};

use common::{
    id::TenantId,
    invoice::{BilledInvoice, BilledUsage, InvoiceLine},
    money::Currency,
    store::Store,
    time::{CyclePeriod, Micros, Period, Window, Zone},
};

use super::{
    InvoiceError, PeriodChoice, billed,
    parts::failed,
    payers::{Bill, PeriodBill},
    period::BillingPeriod,
    plans::Plans,
    progress::Watch,
    recorded::Recorded,
};
use crate::rating::{self, Line, TenantTotals};

/// Late usage of one bill, by period, latest first.
#[derive(Debug, Default)]
pub(super) struct Late {
    pub(super) parts: Vec<LatePart>,
}

/// Late usage of one period.
#[derive(Debug)]
pub(super) struct LatePart {
    pub(super) window: Window,
    pub(super) currency: Currency,
    pub(super) lines: Vec<Line>,
    pub(super) usage: Vec<BilledUsage>,
}

impl Late {
    pub(super) fn lines(&self) -> Vec<InvoiceLine> {
        let of_part = |part: &LatePart| {
            let lines = part.lines.iter().map(|line| line.clone().of_period(part.window).frozen());
            lines.collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    pub(super) fn usage(&self) -> Vec<BilledUsage> {
        self.parts.iter().flat_map(|part| part.usage.clone()).collect()
    }
}

/// Invoices that were issued before, by bill.
type Before = HashMap<Bill, Vec<BilledInvoice>>;

/// Usage of the periods before `period` that no invoice has billed, although their bills were
/// issued.
pub(super) async fn find(
    store: &Store,
    period: Period,
    only: Option<TenantId>,
    periods: u32,
    watch: Watch<'_>,
) -> Result<BTreeMap<Bill, Late>, InvoiceError> {
    let mut found: BTreeMap<Bill, Late> = BTreeMap::new();
    let earlier: Vec<Period> =
        std::iter::successors(Some(period), |period| Some(period.previous())).skip(1).take(periods as usize).collect();
    let Some(first) = earlier.last() else { return Ok(found) };
    let mut before = None;
    for period in &earlier {
        let mut plans = Plans::of(store, Vec::new()).await?;
        let choice = PeriodChoice::Named(*period);
        let billing = BillingPeriod::read(store, choice, only, &mut plans, None).await?;
        if before.is_none() {
            before = Some(issued(store, everywhere(*first, plans.longest_period_days())?, only).await?);
        }
        if let Some(before) = &before {
            find_in(store, &billing, plans, before, &mut found, watch).await?;
        }
    }
    Ok(found)
}

/// The first instant, in any time zone, of periods of so many days that end in a month.
fn everywhere(period: Period, days: i64) -> Result<Micros, InvoiceError> {
    const DAY_SECONDS: i64 = 86_400;
    Ok(PeriodChoice::Named(period).month(&Zone::utc())?.start.plus_seconds(-(days + 1) * DAY_SECONDS))
}

/// The invoices of periods from `start` on.
async fn issued(store: &Store, start: Micros, only: Option<TenantId>) -> Result<Before, InvoiceError> {
    let (mut found, mut after) = (Before::new(), 0);
    while let Some(page) = store.billed_since(start, after).await? {
        after = page.last().map_or(i64::MAX, |last| last.seq);
        for one in page.into_iter().filter(|one| only.is_none_or(|only| only == one.tenant)) {
            found.entry(Bill { tenant: one.tenant, issuer: one.issuer }).or_default().push(one);
        }
    }
    Ok(found)
}

async fn find_in(
    store: &Store,
    billing: &BillingPeriod,
    mut plans: Plans,
    before: &Before,
    found: &mut BTreeMap<Bill, Late>,
    watch: Watch<'_>,
) -> Result<(), InvoiceError> {
    let mut issued: Vec<(Bill, CyclePeriod)> = Vec::new();
    for (bill, invoices) in before {
        let closes = |start: Micros| invoices.iter().any(|one| one.closes && one.period_start == start);
        issued.extend(billing.of(*bill).iter().filter(|one| closes(one.window.start)).map(|one| (*bill, *one)));
    }
    issued.sort_unstable_by_key(|(bill, period)| (*bill, period.window.start));
    if issued.is_empty() {
        return Ok(());
    }
    let caps = billing.caps(store, &mut plans).await?;
    let recorded = Recorded::read(store, billing, caps, watch).await?;
    let unused = TenantTotals::default();
    for (bill, period) in issued {
        let window = period.window;
        // A bill that cannot be computed is told by the run of its own period.
        if recorded.failed.contains_key(&bill.tenant) {
            continue;
        }
        let usage = before.get(&bill).into_iter().flatten().flat_map(|invoice| &invoice.usage);
        let before = billed::totals(window.start, usage);
        let now = recorded.billed.tenant(PeriodBill { bill, start: window.start }).unwrap_or(&unused);
        let late = billed::usage(window.start, &before, now);
        if late.is_empty() {
            continue;
        }
        if let Some(part) = part(store, billing, (bill, period), (&before, now), late, &mut plans).await? {
            found.entry(bill).or_default().parts.push(part);
        }
    }
    Ok(())
}

async fn part(
    store: &Store,
    billing: &BillingPeriod,
    (bill, period): (Bill, CyclePeriod),
    (before, now): (&TenantTotals, &TenantTotals),
    usage: Vec<BilledUsage>,
    plans: &mut Plans,
) -> Result<Option<LatePart>, InvoiceError> {
    let window = period.window;
    let subscriptions = billing.payers.rating(bill, window);
    for subscription in &subscriptions {
        plans.read(store, subscription).await?;
    }
    let Some(last) = subscriptions.last().and_then(|last| plans.known(last)) else { return Ok(None) };
    let Some(cycles) = billing.cycles(bill) else { return Ok(None) };
    let terms = plans.rating((bill, period, cycles), &subscriptions)?;
    let lines = rating::rate_late(&terms.of_period(), before, now)
        .map_err(|source| failed(bill.tenant, plans, &subscriptions, source))?;
    let lines = lines.into_iter().map(|line| Line { description: format!("{} (late)", line.description), ..line });
    Ok(Some(LatePart { window, currency: last.plan.currency, lines: lines.collect(), usage }))
}
