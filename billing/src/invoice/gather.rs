//! Gathering what invoices are made of: tenants, their subscriptions and plans, and one pass over the usage.
//!
//! Invariant: every unit is on the bill of one payer, that of the instant at which it was used, and in one period, the
//! payer's. So the bills of all periods hold all usage, each unit once, whatever moved or changed since.
//!
//! The pass covers the periods of all payers at once, whatever their zones, in slices of a day: memory grows with tenants
//! and meters, not with the rows of a month. A tenant that cannot be billed has its reason told, and stops nobody else.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use common::{
    id::TenantId,
    plan::{Plan, PlanId, PlanVersion, subscription::Subscription},
    store::{Store, StoreError},
    tenant::TenantAccount,
    time::{Micros, Period, Window, Zone},
    usage::rollup::{RefusalRollup, UsageFilter, UsageRollup},
};

use super::{
    Counts, Drafts, FailedDraft, Invoice, InvoiceError, UnbilledUsage,
    caps::Caps,
    payers::{Payer, Payers},
};
use crate::rating::{self, TenantTotals, Totals};

/// How much of the period one query sums.
const SLICE_SECONDS: i64 = 86_400;

/// A sum begins at most this long after the hour that it is filed under.
const HOUR_SECONDS: i64 = 3_600;

/// Months that overlap a period on another clock begin and end within this of it.
const MONTH_SECONDS: i64 = 33 * 86_400;

/// Which period to bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodChoice {
    /// This one, on each payer's own clock.
    Named(Period),
    /// The one that holds this instant, on each payer's own clock.
    Holding(Micros),
}

/// All that is known before usage is read.
struct Books {
    accounts: Vec<TenantAccount>,
    payers: Payers,
    /// The period of each tenant on its own clock, as far as its clock is known.
    windows: HashMap<TenantId, Window>,
    /// The period on the clock of UTC, for tenants that are not known.
    utc: Window,
    only: Option<TenantId>,
}

/// All that happened in the period.
#[derive(Default)]
struct Recorded {
    /// By payer.
    billed: Totals,
    /// Of those for whom nobody pays, and of those who are not known.
    unpaid: Totals,
    refused: HashMap<TenantId, u64>,
    failed: BTreeMap<TenantId, InvoiceError>,
}

/// Plan versions that were read already.
#[derive(Default)]
pub(super) struct Plans(HashMap<(TenantId, PlanId, i64), PlanVersion>);

/// The invoice drafts of a period: of every billed tenant, or of `only` one, with those that it pays for.
pub async fn draft(store: &Store, choice: PeriodChoice, only: Option<TenantId>) -> Result<Drafts, InvoiceError> {
    let books = Books::read(store, choice, only).await?;
    let mut plans = Plans::default();
    let caps = books.caps(store, &mut plans).await?;
    let mut recorded = Recorded::read(store, &books, caps).await?;
    let mut drafts = Drafts {
        period: choice.period(&Zone::utc())?,
        invoices: Vec::new(),
        failed: Vec::new(),
        unknown_tenants: recorded.of_unknown_tenants(&books.accounts),
        unsubscribed_tenants: Vec::new(),
    };
    for account in books.accounts.iter().filter(|account| only.is_none_or(|only| only == account.id)) {
        let tenant = account.id;
        let drafted = match recorded.failed.remove(&tenant) {
            Some(error) => Err(error),
            None => invoice(store, &books, account, choice, &recorded, &mut plans).await,
        };
        match drafted {
            Ok(invoice) => drafts.invoices.extend(invoice),
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

impl PeriodChoice {
    fn period(self, zone: &Zone) -> Result<Period, InvoiceError> {
        match self {
            Self::Named(period) => Ok(period),
            Self::Holding(at) => Period::containing(at, zone)
                .map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source }),
        }
    }

    fn window(self, zone: &Zone) -> Result<Window, InvoiceError> {
        let period = self.period(zone)?;
        period.window(zone).map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source })
    }
}

impl Books {
    async fn read(store: &Store, choice: PeriodChoice, only: Option<TenantId>) -> Result<Self, InvoiceError> {
        if let Some(id) = only {
            // An unknown tenant is an error, not one without an invoice.
            store.tenant(id).await?;
        }
        let accounts = store.tenant_accounts().await?;
        let (parents, subscriptions) = (store.tenant_parents().await?, store.subscriptions().await?);
        let payers = Payers::new(&accounts, parents, subscriptions);
        let window = |account: &TenantAccount| choice.window(account.zone.as_ref().ok()?).ok();
        let windows = accounts.iter().filter_map(|account| Some((account.id, window(account)?))).collect();
        Ok(Self { accounts, payers, windows, utc: choice.window(&Zone::utc())?, only })
    }

    /// The smallest window that holds the hours of all periods.
    fn hull(&self) -> Window {
        let hull = |hull: Window, window: &Window| Window {
            start: hull.start.min(window.start),
            end: hull.end.max(window.end),
        };
        let hull = self.windows.values().fold(self.utc, hull);
        Window { start: hull.start.plus_seconds(-HOUR_SECONDS), end: hull.end }
    }

    /// The hard quotas that may bear on the periods.
    async fn caps(&self, store: &Store, plans: &mut Plans) -> Result<Caps, InvoiceError> {
        let hull = self.hull();
        let window =
            Window { start: hull.start.plus_seconds(-MONTH_SECONDS), end: hull.end.plus_seconds(MONTH_SECONDS) };
        let zones = self.accounts.iter().map(|account| (account.id, account.zone.clone()));
        Caps::read(store, &self.payers, zones, window, plans).await
    }

    /// What has to be read: every hour of the periods, and of the months of the hard quotas that bear on them.
    fn window(&self, caps: &Caps) -> Window {
        let billed = self.windows.iter().filter(|(tenant, _)| self.only.is_none_or(|only| only == **tenant));
        let widened = caps.widen(&self.payers, billed, Window { start: Micros(i64::MAX), end: Micros(i64::MIN) });
        let hull = self.hull();
        let start = widened.start.plus_seconds(-HOUR_SECONDS).min(hull.start);
        Window { start, end: widened.end.max(hull.end) }
    }

    /// The place of the plan that pays among those of the payer's period.
    fn place(&self, payer: Payer) -> usize {
        let first = self.windows.get(&payer.tenant).map_or(0, |window| self.payers.within(payer.tenant, *window).0);
        payer.subscription.saturating_sub(first)
    }

    /// Whose period counts for what `tenant` used at `at` while `payer` paid, and whether that instant is in it.
    fn counts(&self, tenant: TenantId, payer: Option<TenantId>, at: Micros) -> bool {
        let account = payer.unwrap_or(tenant);
        match self.windows.get(&account) {
            Some(window) => self.only.is_none_or(|only| only == account) && window.contains(at),
            None => self.only.is_none() && payer.is_none() && self.utc.contains(at),
        }
    }
}

/// The invoice of a tenant; none if it had no subscription in the period.
async fn invoice(
    store: &Store,
    books: &Books,
    account: &TenantAccount,
    choice: PeriodChoice,
    recorded: &Recorded,
    plans: &mut Plans,
) -> Result<Option<Invoice>, InvoiceError> {
    let tenant = account.id;
    let zone = account.zone.clone().map_err(|source| InvoiceError::Clock { tenant, source })?;
    let window = choice.window(&zone)?;
    let (_, subscriptions) = books.payers.within(tenant, window);
    let Some(last) = subscriptions.last() else { return Ok(None) };
    for subscription in subscriptions {
        plans.read(store, subscription).await?;
    }
    let history: Vec<&Plan> = subscriptions.iter().filter_map(|one| plans.known(one)).map(|one| &one.plan).collect();
    let plan = plans.known(last).ok_or(InvoiceError::Plan(tenant))?;
    let unused = TenantTotals::default();
    let usage = recorded.billed.tenant(tenant).unwrap_or(&unused);
    let currency = plan.plan.currency;
    let (lines, total) = rating::rate_period(&history, usage)
        .and_then(|lines| rating::total(&lines, currency).map(|total| (lines, total)))
        .map_err(|source| InvoiceError::Rating { tenant, plan: plan.plan.id.clone(), version: plan.version, source })?;
    Ok(Some(Invoice {
        tenant,
        tenant_name: account.name.clone(),
        plan: plan.plan.id.clone(),
        plan_name: plan.plan.name.clone(),
        plan_version: plan.version,
        currency,
        zone,
        window,
        counts: Counts {
            requests: usage.requests,
            billable_requests: usage.billable_requests,
            billable_units: usage.billable_units,
            test_requests: usage.test_requests,
            refused_requests: recorded.refused.get(&tenant).copied().unwrap_or(0),
        },
        lines,
        total,
    }))
}

impl Recorded {
    /// Reads usage and refusals of all, or what `only` one pays for.
    async fn read(store: &Store, books: &Books, mut caps: Caps) -> Result<Self, InvoiceError> {
        // Whoever never had others below pays for itself alone, and shares no quota unless somebody above holds one.
        let is_alone = |only: &TenantId| !books.payers.has_others_below(*only) && !caps.reach(&books.payers, *only);
        let asked = books.only.filter(is_alone);
        let mut recorded = Self::default();
        // Sums that begin after the slice of their hour.
        let mut later = Vec::new();
        for slice in slices(books.window(&caps)) {
            let filter = UsageFilter { tenant: asked, window: Some(slice) };
            let mut sums = std::mem::take(&mut later);
            sums.extend(store.usage(&filter).await?);
            sums.sort_by_key(|sum| sum.since);
            later = sums.split_off(sums.partition_point(|sum| sum.since < slice.end));
            for sum in &sums {
                recorded.add_usage(books, &mut caps, sum);
            }
            for sum in store.refusals(&filter).await? {
                recorded.add_refusals(books, &sum);
            }
        }
        for sum in &later {
            recorded.add_usage(books, &mut caps, sum);
        }
        for (payer, meter, units) in caps.beyond() {
            recorded.billed.hold_back(payer.tenant, books.place(payer), &meter, units);
        }
        Ok(recorded)
    }

    fn add_usage(&mut self, books: &Books, caps: &mut Caps, sum: &UsageRollup) {
        let payer = books.payers.payer(sum.tenant, sum.since);
        let counts = books.counts(sum.tenant, payer.map(|payer| payer.tenant), sum.since);
        let capped = caps.count(&books.payers, sum, payer.filter(|_| counts));
        if !counts {
            return;
        }
        let (account, added) = match payer {
            None => (sum.tenant, self.unpaid.add(sum)),
            Some(payer) => (payer.tenant, self.billed.add_for(payer.tenant, books.place(payer), sum)),
        };
        if let Err(error) = added.map_err(InvoiceError::Sum).and(capped) {
            self.failed.entry(account).or_insert(error);
        }
    }

    /// Refusals are summed by hour. Those of the hour in which a plan begins are told by whoever pays at its end.
    fn add_refusals(&mut self, books: &Books, sum: &RefusalRollup) {
        let end = Micros(sum.hour.plus_seconds(HOUR_SECONDS).0.saturating_sub(1));
        let payer = [sum.hour, end].into_iter().find_map(|at| books.payers.payer(sum.tenant, at));
        let payer = payer.map(|payer| payer.tenant);
        if !books.counts(sum.tenant, payer, sum.hour) {
            return;
        }
        let account = payer.unwrap_or(sum.tenant);
        let refused = self.refused.entry(account).or_default();
        match refused.checked_add(sum.count) {
            Some(total) => *refused = total,
            None => drop(self.failed.entry(account).or_insert(InvoiceError::Refusals(account))),
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

impl Plans {
    pub(super) async fn read(&mut self, store: &Store, subscription: &Subscription) -> Result<(), StoreError> {
        if let Entry::Vacant(entry) = self.0.entry(key(subscription)) {
            entry.insert(store.pinned_plan(subscription).await?);
        }
        Ok(())
    }

    pub(super) fn known(&self, subscription: &Subscription) -> Option<&PlanVersion> {
        self.0.get(&key(subscription))
    }
}

/// The version that a subscription pins: plans are named within their owner.
fn key(subscription: &Subscription) -> (TenantId, PlanId, i64) {
    (subscription.plan_owner, subscription.plan.clone(), subscription.version)
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
