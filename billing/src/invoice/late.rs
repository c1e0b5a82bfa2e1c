//! Late usage: what was booked of a period after its invoice.

use std::collections::BTreeMap;

use common::{
    id::TenantId,
    invoice::{BilledUsage, InvoiceLine},
    money::Currency,
    store::Store,
    time::{CyclePeriod, Period, Window},
};

use super::{
    InvoiceError, PeriodChoice, billed,
    draft::Recorded,
    parts::failed,
    payers::{Bill, PeriodBill},
    period::BillingPeriod,
    plans::Plans,
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
            part.lines.iter().map(|line| line.clone().of_period(part.window).frozen()).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    pub(super) fn usage(&self) -> Vec<BilledUsage> {
        self.parts.iter().flat_map(|part| part.usage.clone()).collect()
    }
}

/// Usage of the periods before `period` that no invoice has billed, although their bills were
/// issued.
pub(super) async fn find(
    store: &Store,
    period: Period,
    only: Option<TenantId>,
    periods: u32,
) -> Result<BTreeMap<Bill, Late>, InvoiceError> {
    let mut found: BTreeMap<Bill, Late> = BTreeMap::new();
    let mut earlier = period;
    for _ in 0..periods {
        earlier = earlier.previous();
        find_in(store, earlier, only, &mut found).await?;
    }
    Ok(found)
}

async fn find_in(
    store: &Store,
    period: Period,
    only: Option<TenantId>,
    found: &mut BTreeMap<Bill, Late>,
) -> Result<(), InvoiceError> {
    let mut plans = Plans::of(store, Vec::new()).await?;
    let billing = BillingPeriod::read(store, PeriodChoice::Named(period), only, &mut plans, None).await?;
    let issued: Vec<Bill> = store
        .bills_of(billing.hull())
        .await?
        .into_iter()
        .map(|(issuer, tenant)| Bill { tenant, issuer })
        .filter(|bill| only.is_none_or(|only| only == bill.tenant))
        .collect();
    if issued.is_empty() {
        return Ok(());
    }
    let caps = billing.caps(store, &mut plans).await?;
    let recorded = Recorded::read(store, &billing, caps).await?;
    let periods = issued.iter().flat_map(|bill| billing.of(*bill).iter().map(move |period| (*bill, *period)));
    for (bill, period) in periods {
        let window = period.window;
        // A bill that cannot be computed is told by the run of its own period.
        if recorded.failed.contains_key(&bill.tenant) {
            continue;
        }
        let usage = store.billed_usage(bill.issuer, bill.tenant, window).await?;
        let Some(usage) = usage else { continue };
        let before = billed::totals(window.start, &usage);
        let unused = TenantTotals::default();
        let now = recorded.billed.tenant(PeriodBill { bill, start: window.start }).unwrap_or(&unused);
        let late = billed::usage(window.start, &before, now);
        if late.is_empty() {
            continue;
        }
        if let Some(part) = part(store, &billing, (bill, period), (&before, now), late, &mut plans).await? {
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
