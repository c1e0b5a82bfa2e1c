//! Periods that are billed in several parts: fees as they begin, usage once it comes to a threshold, and
//! the rest once they have ended.

use common::{
    id::{InvoiceId, TenantId},
    invoice::{BilledBefore, BilledPeriod, LineKind, NewInvoice, PinnedPlan},
    money::{Currency, Money, MoneyError},
    plan::subscription::{Subscription, cycles::BillCycles},
    store::Store,
    time::{Micros, TimeError},
};

use super::{
    Counts, Invoice, InvoiceError, PeriodChoice, billed,
    payers::{Bill, PeriodBill},
    period::BillingPeriod,
    plans::{At, BillTerms, Plans},
    recorded::Recorded,
};
use crate::rating::{self, Before, CouponUse, Line, RatingError, TenantTotals};

/// The parts of a period that were billed.
pub(super) struct Parts {
    pub(super) before: Before,
    pub(super) last_part: u32,
    pub(super) is_closed: bool,
}

/// The parts of a period that were billed before, up to an invoice if one is named; none of a period
/// that is billed in one part.
pub(super) async fn before(
    store: &Store,
    (bill, period, _): At<'_>,
    terms: &BillTerms<'_>,
    as_of: Option<InvoiceId>,
) -> Result<Option<Parts>, InvoiceError> {
    let Some(last) = terms.plans.last().filter(|_| terms.plans.iter().any(|term| term.plan.billing.has_parts())) else {
        return Ok(None);
    };
    let (currency, start) = (last.plan.currency, period.window.start);
    let found = store.billed_before(bill.issuer, bill.tenant, currency, start, as_of).await?;
    let before = before_of(&found, currency, start).map_err(|source| InvoiceError::Sum(RatingError::Total(source)))?;
    Ok(Some(Parts { before, last_part: found.last_part, is_closed: found.is_closed }))
}

fn before_of(found: &BilledBefore, currency: Currency, period_start: Micros) -> Result<Before, MoneyError> {
    let amount = |minor| Money::from_minor(minor, currency);
    let mut before = Before {
        usage: billed::totals(period_start, &found.usage),
        fees: amount(0),
        coupons: Vec::new(),
        total: amount(0),
    };
    for line in &found.lines {
        let own = amount(line.amount_minor);
        if let Some(code) = line.coupon.clone() {
            let off = amount(0).checked_sub(own)?;
            before.coupons.push(CouponUse { code, meter: line.meter.clone(), off });
            continue;
        }
        before.total = before.total.checked_add(own)?;
        if line.kind == LineKind::FlatFee {
            before.fees = before.fees.checked_add(own)?;
        }
    }
    Ok(before)
}

/// Adds the fees of the period that follows a draft's, if they are due as it begins.
pub(super) async fn add_advance(
    store: &Store,
    billing: &BillingPeriod,
    (bill, period, cycles): At<'_>,
    draft: &mut Invoice,
    plans: &mut Plans,
) -> Result<(), InvoiceError> {
    let next = cycles.period_at(period.window.end).map_err(|source| outside(cycles, source))?;
    let Some(next) = next else { return Ok(()) };
    let first = billing.payers.rating(bill, next.window).into_iter().next();
    // Who has no plan of the issuer as the period begins is billed later in it.
    if first.is_none_or(|first| first.starts_at > next.window.start) {
        return Ok(());
    }
    let lines = advance(store, billing, (bill, next, cycles), plans).await?;
    let failed = |source| InvoiceError::Sum(RatingError::Total(source));
    for line in lines {
        if line.amount.currency() != draft.currency {
            return Ok(());
        }
        draft.total = draft.total.checked_add(line.amount).map_err(failed)?;
        let description = format!("{} (in advance)", line.description);
        draft.lines.push(Line { description, ..line }.of_period(next.window));
    }
    Ok(())
}

/// The fees of a period that are due as it begins and were not billed.
async fn advance(
    store: &Store,
    billing: &BillingPeriod,
    at: At<'_>,
    plans: &mut Plans,
) -> Result<Vec<Line>, InvoiceError> {
    let (bill, period, _) = at;
    let subscriptions = billing.payers.rating(bill, period.window);
    for subscription in &subscriptions {
        plans.read(store, subscription).await?;
    }
    let first = subscriptions.first().and_then(|first| plans.known(first));
    if !first.is_some_and(|first| first.plan.billing.in_advance) {
        return Ok(Vec::new());
    }
    let terms = plans.rating(at, &subscriptions)?;
    let Some(parts) = before(store, at, &terms, None).await?.filter(|parts| !parts.is_closed) else {
        return Ok(Vec::new());
    };
    let lines = rating::rate_advance(&terms.of_period(), &parts.before);
    let lines = lines.map_err(|source| failed(bill.tenant, plans, &subscriptions, source))?;
    Ok(lines.into_iter().map(|line| Line { in_advance: true, ..line }).collect())
}

/// Invoices of periods that have begun and not ended: the fees of a first period that are due as it
/// begins, and usage that has come to the plan's threshold.
pub(super) async fn due(
    store: &Store,
    now: Micros,
    only: Option<TenantId>,
) -> Result<Vec<(String, NewInvoice)>, InvoiceError> {
    let mut plans = Plans::of(store, Vec::new()).await?;
    let billing = BillingPeriod::read(store, PeriodChoice::Holding(now), only, &mut plans, None).await?;
    let mut candidates = Vec::new();
    let mut needs_usage = false;
    for account in billing.accounts.iter().filter(|account| only.is_none_or(|only| only == account.id)) {
        for issuer in billing.payers.issuers_of(account.id) {
            let bill = Bill { tenant: account.id, issuer };
            let Some(cycles) = billing.cycles(bill) else { continue };
            for period in billing.of(bill) {
                let subscriptions = billing.payers.rating(bill, period.window);
                let known = subscriptions.iter().filter_map(|one| plans.known(one));
                let (mut has_parts, mut has_threshold) = (false, false);
                for version in known {
                    has_parts |= version.plan.billing.has_parts();
                    has_threshold |= version.plan.billing.invoice_at.is_some();
                }
                needs_usage |= has_threshold;
                // Nobody owes to itself.
                if has_parts && bill.tenant != bill.issuer {
                    candidates.push((account.name.clone(), (bill, *period, cycles)));
                }
            }
        }
    }
    let recorded = if needs_usage {
        let caps = billing.caps(store, &mut plans).await?;
        Recorded::read(store, &billing, caps, &|_| ()).await?
    } else {
        Recorded::default()
    };
    let mut found = Vec::new();
    for (name, at) in candidates {
        if let Some(new) = part(store, &billing, at, &recorded, &mut plans).await? {
            found.push((name, new));
        }
    }
    Ok(found)
}

/// The part of a period that is due now.
async fn part(
    store: &Store,
    billing: &BillingPeriod,
    at: At<'_>,
    recorded: &Recorded,
    plans: &mut Plans,
) -> Result<Option<NewInvoice>, InvoiceError> {
    let (bill, period, cycles) = at;
    let window = period.window;
    let just_before = Micros(window.start.0.saturating_sub(1));
    let previous = cycles.period_at(just_before).map_err(|source| outside(cycles, source))?;
    let is_first = previous.is_none_or(|previous| billing.payers.rating(bill, previous.window).is_empty());
    let mut lines = if is_first { advance(store, billing, at, plans).await? } else { Vec::new() };
    let subscriptions = billing.payers.rating(bill, window);
    let terms = plans.rating(at, &subscriptions)?;
    let Some(parts) = before(store, at, &terms, None).await?.filter(|parts| !parts.is_closed) else { return Ok(None) };
    let Some(plan) = subscriptions.last().and_then(|last| plans.known(last)) else { return Ok(None) };
    let unused = TenantTotals::default();
    let usage = recorded.billed.tenant(PeriodBill { bill, start: window.start }).unwrap_or(&unused);
    let mut billed_usage = Vec::new();
    let failed = |source| failed(bill.tenant, plans, &subscriptions, source);
    let threshold = plan.plan.billing.threshold(plan.plan.currency).map_err(|error| failed(error.into()))?;
    if let Some(threshold) = threshold {
        let of_usage = rating::rate_interim(&terms.of_period(), &parts.before, usage).map_err(failed)?;
        if rating::total(&of_usage, plan.plan.currency).map_err(failed)?.minor() >= threshold.minor() {
            lines.extend(of_usage);
            billed_usage = billed::usage(window.start, &parts.before.usage, usage);
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    Ok(Some(NewInvoice {
        issuer: bill.issuer,
        tenant: bill.tenant,
        currency: plan.plan.currency,
        period: Some(BilledPeriod { window, zone: cycles.zone().name().to_owned() }),
        part: parts.last_part.saturating_add(1),
        last_part: parts.last_part,
        plan: Some(PinnedPlan {
            owner: bill.issuer,
            id: plan.plan.id.clone(),
            name: plan.plan.name.clone(),
            version: plan.version,
        }),
        counts: Counts::default(),
        lines: lines.iter().map(Line::frozen).collect(),
        input_hash: Some(billed::input_hash(&subscriptions, &terms, Some(&parts.before), &billed_usage)),
        usage: billed_usage,
        memo: None,
    }))
}

fn outside(cycles: &BillCycles, source: TimeError) -> InvoiceError {
    InvoiceError::Period { zone: cycles.zone().name().to_owned(), source }
}

/// The failure to rate a period of a tenant.
pub(super) fn failed(
    tenant: TenantId,
    plans: &Plans,
    subscriptions: &[&Subscription],
    source: RatingError,
) -> InvoiceError {
    match subscriptions.last().and_then(|last| plans.known(last)) {
        Some(plan) => InvoiceError::Rating { tenant, plan: plan.plan.id.clone(), version: plan.version, source },
        None => InvoiceError::Plan(tenant),
    }
}
