//! Drafts of invoices: one pass over the usage of a period, then the lines of each payer.
//!
//! Invariant: of the bills of an issuer that are not wholesale, every unit is on one, that of its
//! payer at the instant of use, and in one period of that payer. So the bills of all periods hold
//! all usage, each unit once, whatever moved or changed since.
//!
//! The pass covers the periods of all payers at once, whatever their time zones, in slices of a
//! day: memory grows with tenants and meters, not with the rows of a month. A tenant that cannot be
//! billed is listed with the reason, and stops no other tenant.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::{
    id::{InvoiceId, TenantId},
    plan::{Plan, subscription::Subscription},
    store::Store,
    tenant::TenantAccount,
    time::{Micros, Window, Zone},
    usage::{
        PaidBy,
        rollup::{RefusalRollup, UsageFilter, UsageRollup},
    },
};

use super::{
    Counts, Drafts, FailedDraft, Invoice, InvoiceError, UnbilledUsage, billed,
    caps::{Caps, UnknownCap},
    parts::{self, Parts},
    payers::{Bill, Payer, PeriodBill},
    period::{BillingPeriod, PeriodChoice},
    plans::{At, BillTerms, Plans},
};
use crate::rating::{self, RatingError, TenantTotals, Totals};

/// Part of the period that one query sums.
const SLICE_SECONDS: i64 = 86_400;

/// Length of the hour by which refusals are summed.
const HOUR_SECONDS: i64 = 3_600;

/// Usage and refusals of the period.
#[derive(Default)]
pub(super) struct Recorded {
    /// Billed usage.
    pub(super) billed: Totals<PeriodBill>,
    /// Usage without a payer, and usage of unknown tenants.
    unpaid: Totals,
    /// By the bill of the nearest payer.
    refused: HashMap<PeriodBill, u64>,
    pub(super) failed: BTreeMap<TenantId, InvoiceError>,
}

/// Drafts the invoices of a period: of every payer, or of `only` one with the tenants that it pays
/// for.
pub async fn draft(store: &Store, choice: PeriodChoice, only: Option<TenantId>) -> Result<Drafts, InvoiceError> {
    draft_as_if(store, choice, only, Supposed::default()).await
}

/// The difference in a draft that asks "what if".
#[derive(Default)]
pub(super) struct Supposed {
    /// Plans that stand in for those that have their names.
    pub(super) plans: Vec<Plan>,
    /// A subscription that begins, and ends the one before it.
    pub(super) subscription: Option<Subscription>,
    /// Only what was issued before this invoice is billed before.
    pub(super) before: Option<InvoiceId>,
}

/// Drafts the invoices of a period as if something were different.
pub(super) async fn draft_as_if(
    store: &Store,
    choice: PeriodChoice,
    only: Option<TenantId>,
    supposed: Supposed,
) -> Result<Drafts, InvoiceError> {
    let mut plans = Plans::of(store, supposed.plans).await?;
    let period = BillingPeriod::read(store, choice, only, &mut plans, supposed.subscription).await?;
    let is_asked = matches!(choice, PeriodChoice::Named(_) | PeriodChoice::Holding(_)) || !period.is_empty();
    let mut recorded = if is_asked {
        let caps = period.caps(store, &mut plans).await?;
        Recorded::read(store, &period, caps).await?
    } else {
        Recorded::default()
    };
    let mut drafts = Drafts {
        period: choice.period(&Zone::utc())?,
        invoices: Vec::new(),
        failed: Vec::new(),
        unknown_tenants: recorded.of_unknown_tenants(&period.accounts),
        unsubscribed_tenants: Vec::new(),
    };
    for account in period.accounts.iter().filter(|account| only.is_none_or(|only| only == account.id)) {
        let tenant = account.id;
        let drafted = match recorded.failed.remove(&tenant) {
            Some(error) => Err(error),
            None => invoices(store, &period, account, &recorded, &mut plans, supposed.before).await,
        };
        match drafted {
            Ok(invoices) => drafts.invoices.extend(invoices),
            Err(error) if error.is_of_one_tenant() => {
                drafts.failed.push(FailedDraft {
                    tenant,
                    tenant_name: account.name.clone(),
                    reason: error.to_string(),
                });
            }
            Err(error) => return Err(error),
        }
        let unpaid = recorded.unpaid.tenant(tenant).map_or(0, |totals| totals.billable_units);
        drafts.unsubscribed_tenants.extend((unpaid > 0).then_some(UnbilledUsage { tenant, units: unpaid }));
    }
    Ok(drafts)
}

/// The invoices of a tenant, one for each issuer and period in which it had a plan.
async fn invoices(
    store: &Store,
    period: &BillingPeriod,
    account: &TenantAccount,
    recorded: &Recorded,
    plans: &mut Plans,
    as_of: Option<InvoiceId>,
) -> Result<Vec<Invoice>, InvoiceError> {
    let tenant = account.id;
    account.zone.clone().map_err(|source| InvoiceError::Clock { tenant, source })?;
    let mut invoices = Vec::new();
    for issuer in period.payers.issuers_of(tenant) {
        let bill = Bill { tenant, issuer };
        let Some(cycles) = period.cycles(bill) else { continue };
        for one in period.of(bill) {
            let subscriptions = period.payers.rating(bill, one.window);
            if subscriptions.is_empty() {
                continue;
            }
            for subscription in &subscriptions {
                plans.read(store, subscription).await?;
            }
            let at = (bill, *one, cycles);
            let terms = plans.rating(at, &subscriptions)?;
            let before = parts::before(store, at, &terms, as_of).await?.filter(|before| !before.is_closed);
            let mut draft = invoice(account, at, (&subscriptions, &terms), before.as_ref(), recorded, plans)?;
            parts::add_advance(store, period, at, &mut draft, plans).await?;
            invoices.push(draft);
        }
    }
    Ok(invoices)
}

/// The invoice of one bill; its subscriptions come by start, and there is at least one.
fn invoice(
    account: &TenantAccount,
    (bill, period, cycles): At<'_>,
    (subscriptions, terms): (&[&Subscription], &BillTerms<'_>),
    before: Option<&Parts>,
    recorded: &Recorded,
    plans: &Plans,
) -> Result<Invoice, InvoiceError> {
    let (tenant, window) = (bill.tenant, period.window);
    let of_period = PeriodBill { bill, start: window.start };
    let plan = subscriptions.last().and_then(|last| plans.known(last)).ok_or(InvoiceError::Plan(tenant))?;
    let unused = TenantTotals::default();
    let usage = recorded.billed.tenant(of_period).unwrap_or(&unused);
    let currency = plan.plan.currency;
    let rated = match before {
        Some(parts) => rating::rate_rest(&terms.of_period(), &parts.before, usage),
        None => rating::rate_period(&terms.of_period(), usage),
    };
    let (lines, total) = rated
        .and_then(|lines| rating::total(&lines, currency).map(|total| (lines, total)))
        .map_err(|source| InvoiceError::Rating { tenant, plan: plan.plan.id.clone(), version: plan.version, source })?;
    let billed = billed::usage(window.start, before.map_or(&unused, |parts| &parts.before.usage), usage);
    Ok(Invoice {
        issuer: bill.issuer,
        tenant,
        tenant_name: account.name.clone(),
        plan: plan.plan.id.clone(),
        plan_name: plan.plan.name.clone(),
        plan_version: plan.version,
        currency,
        zone: cycles.zone().clone(),
        window,
        last_part: before.map_or(0, |parts| parts.last_part),
        counts: Counts {
            requests: usage.requests,
            billable_requests: usage.billable_requests,
            billable_units: usage.billable_units,
            test_requests: usage.test_requests,
            refused_requests: recorded.refused.get(&of_period).copied().unwrap_or(0),
        },
        lines,
        total,
        input_hash: billed::input_hash(subscriptions, terms, before.map(|parts| &parts.before), &billed),
        usage: billed,
    })
}

impl Recorded {
    /// Reads the usage and refusals of all payers, or of the only one asked for.
    pub(super) async fn read(store: &Store, period: &BillingPeriod, mut caps: Caps) -> Result<Self, InvoiceError> {
        // A tenant that never had tenants below it pays for itself alone, and shares no quota
        // unless a tenant above has one.
        let is_alone = |only: &TenantId| !period.payers.has_others_below(*only) && !caps.reach(&period.payers, *only);
        let asked = period.only.filter(is_alone);
        let mut recorded = Self::default();
        // Sums that begin after the slice of their hour.
        let mut later = Vec::new();
        for slice in slices(period.window(&caps)) {
            let filter = UsageFilter { tenant: asked, window: Some(slice) };
            let mut sums = std::mem::take(&mut later);
            sums.extend(store.usage(&filter).await?);
            sums.sort_by_key(|sum| sum.since);
            later = sums.split_off(sums.partition_point(|sum| sum.since < slice.end));
            for sum in &sums {
                recorded.add_usage(period, &mut caps, sum);
            }
            for sum in store.refusals(&filter).await? {
                recorded.add_refusals(period, &sum);
            }
        }
        for sum in &later {
            recorded.add_usage(period, &mut caps, sum);
        }
        for (payer, at, meter, beyond) in caps.beyond() {
            if let Some(bill) = period.of_bill_at(payer.bill, at) {
                recorded.billed.hold_back(bill, period.place(payer, at), &meter, beyond);
            }
        }
        Ok(recorded)
    }

    fn add_usage(&mut self, period: &BillingPeriod, caps: &mut Caps, sum: &UsageRollup) {
        let payers = period.payers.payers(sum.tenant, sum.since);
        let of_bill = |payer: &Payer| Some((*payer, period.of_bill_at(payer.bill, sum.since)?));
        let (billed, bills): (Vec<Payer>, Vec<PeriodBill>) = payers.iter().filter_map(of_bill).unzip();
        let capped = caps.count(&period.payers, sum, &billed);
        if payers.is_empty() && period.counts_unpaid(sum.tenant, sum.since) {
            self.keep(sum.tenant, &capped, |recorded| recorded.unpaid.add(sum));
        }
        for (payer, bill) in billed.into_iter().zip(bills) {
            // Credit frees its own tenant, and nobody who pays for a subtree.
            let owed = (payer.wholesale && payer.bill.tenant != sum.tenant && sum.paid == PaidBy::Credit)
                .then(|| UsageRollup { paid: PaidBy::Charge, ..sum.clone() });
            let place = period.place(payer, sum.since);
            let sum = owed.as_ref().unwrap_or(sum);
            self.keep(payer.bill.tenant, &capped, |recorded| recorded.billed.add_for(bill, place, sum));
        }
    }

    /// Adds a sum to a tenant's bill, and keeps the first failure.
    fn keep(
        &mut self,
        tenant: TenantId,
        capped: &Result<(), UnknownCap>,
        add: impl FnOnce(&mut Self) -> Result<(), RatingError>,
    ) {
        let added = add(self).map_err(InvoiceError::Sum);
        if let Err(error) = added.and_then(|()| Ok(capped.clone()?)) {
            self.failed.entry(tenant).or_insert(error);
        }
    }

    /// Adds refusals, which are summed by hour. In the hour in which a plan begins, the payer at
    /// the end of the hour counts.
    fn add_refusals(&mut self, period: &BillingPeriod, sum: &RefusalRollup) {
        let end = Micros(sum.hour.plus_seconds(HOUR_SECONDS).0.saturating_sub(1));
        let nearest = |at| period.payers.payers(sum.tenant, at).first().map(|payer| payer.bill);
        let bill = [sum.hour, end].into_iter().find_map(nearest);
        let Some(bill) = bill.and_then(|bill| period.of_bill_at(bill, sum.hour)) else { return };
        let refused = self.refused.entry(bill).or_default();
        if let Some(total) = refused.checked_add(sum.count) {
            *refused = total;
        } else {
            let tenant = bill.into();
            self.failed.entry(tenant).or_insert(InvoiceError::Refusals(tenant));
        }
    }

    fn of_unknown_tenants(&self, accounts: &[TenantAccount]) -> Vec<UnbilledUsage> {
        let known: HashSet<_> = accounts.iter().map(|account| account.id).collect();
        let mut unknown: Vec<_> = self
            .unpaid
            .iter()
            .filter(|(tenant, _)| !known.contains(tenant))
            .map(|(tenant, totals)| UnbilledUsage { tenant, units: totals.units })
            .collect();
        unknown.sort_by_key(|usage| usage.tenant);
        unknown
    }
}

/// The window cut into slices; every instant of it lies in exactly one.
fn slices(window: Window) -> impl Iterator<Item = Window> {
    let mut start = window.start;
    std::iter::from_fn(move || {
        let slice = Window { start, end: start.plus_seconds(SLICE_SECONDS).min(window.end) };
        start = slice.end;
        (slice.start < slice.end).then_some(slice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_a_window_without_overlap() {
        let window = Window { start: Micros(5), end: Micros(5).plus_seconds(86_400 * 2 + 7) };
        let slices: Vec<_> = slices(window).collect();
        assert_eq!(slices.len(), 3);
        assert_eq!(slices[0].start, window.start);
        assert_eq!(slices[2].end, window.end);
        assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}
