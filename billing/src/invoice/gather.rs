//! Gathering what invoices are made of: tenants, their subscriptions and plans, and one pass over the usage.
//!
//! Who inherits a plan is billed with the tenant that it is inherited from: usage belongs to the nearest tenant on the way
//! up that has a subscription in the period, each request in the period of the tenant that made it.
//!
//! The pass covers the periods of all tenants at once, whatever their zones, in slices of a day: memory grows with
//! tenants and meters, not with the rows of a month.

use std::collections::{HashMap, hash_map::Entry};

use common::{
    id::TenantId,
    plan::{PlanId, PlanVersion},
    store::{Store, StoreError, Subscription, UsageFilter},
    tenant::Tenant,
    time::{Micros, Period, TimeError, Window, Zone},
};

use super::{Counts, Drafts, Invoice, InvoiceError, UnbilledUsage};
use crate::rating::{self, TenantTotals, Totals};

/// How much of the period one query sums.
const SLICE_SECONDS: i64 = 86_400;

/// Which period to bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodChoice {
    /// This one, on each tenant's own clock.
    Named(Period),
    /// The one that holds this instant, on each tenant's own clock.
    Holding(Micros),
}

/// A tenant and its period.
struct Account {
    tenant: Tenant,
    window: Window,
    subscription: Option<Subscription>,
}

/// Who pays for whom.
struct Payers {
    payer: HashMap<TenantId, TenantId>,
}

/// All that happened in the periods of the accounts.
#[derive(Default)]
struct Recorded {
    totals: Totals,
    refused: HashMap<TenantId, u64>,
}

/// Plan versions that were read already.
#[derive(Default)]
struct Plans(HashMap<(TenantId, PlanId, i64), PlanVersion>);

/// The invoice drafts of a period: of every billed tenant, or of `only` one, with those that it pays for.
pub async fn draft(store: &Store, choice: PeriodChoice, only: Option<TenantId>) -> Result<Drafts, InvoiceError> {
    let mut accounts = accounts(store, choice, only).await?;
    let payers = Payers::of(&accounts);
    if let Some(only) = only {
        accounts.retain(|account| account.tenant.id == only || payers.payer(account.tenant.id) == Some(only));
    }
    let recorded = Recorded::read(store, &accounts, choice.window(&Zone::utc())?, only).await?;
    let billed = recorded.by_payer(&payers)?;
    let mut plans = Plans::default();
    let mut invoices = Vec::new();
    let mut unsubscribed_tenants = Vec::new();
    for account in &accounts {
        let tenant = account.tenant.id;
        if let Some(subscription) = &account.subscription {
            invoices.push(invoice(account, plans.read(store, subscription).await?, &billed)?);
            continue;
        }
        let units = billed.totals.tenant(tenant).map_or(0, |totals| totals.billable_units);
        unsubscribed_tenants.extend((units > 0).then_some(UnbilledUsage { tenant, units }));
    }
    let unknown_tenants = recorded.of_unknown_tenants(&accounts);
    let period = choice.period(&Zone::utc())?;
    Ok(Drafts { period, invoices, unknown_tenants, unsubscribed_tenants })
}

impl Payers {
    fn of(accounts: &[Account]) -> Self {
        let by_id: HashMap<_, _> = accounts.iter().map(|account| (account.tenant.id, account)).collect();
        let payer = |account: &Account| {
            let above = |below: &&Account| below.tenant.parent.and_then(|id| by_id.get(&id).copied());
            let mut way = std::iter::successors(by_id.get(&account.tenant.id).copied(), above);
            way.find(|account| account.subscription.is_some()).map(|account| account.tenant.id)
        };
        Self { payer: accounts.iter().filter_map(|one| Some((one.tenant.id, payer(one)?))).collect() }
    }

    /// Who pays for what a tenant uses; nobody, if there is no subscription on its way up.
    fn payer(&self, tenant: TenantId) -> Option<TenantId> {
        self.payer.get(&tenant).copied()
    }
}

impl PeriodChoice {
    fn period(self, zone: &Zone) -> Result<Period, InvoiceError> {
        match self {
            Self::Named(period) => Ok(period),
            Self::Holding(at) => Period::containing(at, zone).map_err(in_zone(zone)),
        }
    }

    fn window(self, zone: &Zone) -> Result<Window, InvoiceError> {
        self.period(zone)?.window(zone).map_err(in_zone(zone))
    }
}

fn in_zone(zone: &Zone) -> impl Fn(TimeError) -> InvoiceError {
    |source| InvoiceError::Period { zone: zone.clone(), source }
}

/// Every tenant, with what it is billed by.
async fn accounts(store: &Store, choice: PeriodChoice, only: Option<TenantId>) -> Result<Vec<Account>, InvoiceError> {
    if let Some(id) = only {
        // An unknown tenant is an error, not one without an invoice.
        store.tenant(id).await?;
    }
    let tenants = store.tenants().await?;
    let mut by_tenant: HashMap<TenantId, Vec<Subscription>> = HashMap::new();
    for subscription in store.subscriptions().await? {
        by_tenant.entry(subscription.tenant).or_default().push(subscription);
    }
    tenants
        .into_iter()
        .map(|tenant| {
            let window = choice.window(&tenant.zone)?;
            let subscription = last_overlapping(by_tenant.remove(&tenant.id).unwrap_or_default(), window);
            Ok(Account { tenant, window, subscription })
        })
        .collect()
}

/// The subscription that starts last among those in force at some instant of `window`.
fn last_overlapping(subscriptions: Vec<Subscription>, window: Window) -> Option<Subscription> {
    subscriptions
        .into_iter()
        .filter(|subscription| {
            subscription.starts_at < window.end && subscription.ends_at.is_none_or(|end| end > window.start)
        })
        .max_by_key(|subscription| subscription.starts_at)
}

fn invoice(account: &Account, plan: &PlanVersion, recorded: &Recorded) -> Result<Invoice, InvoiceError> {
    let tenant = account.tenant.id;
    let unused = TenantTotals::default();
    let usage = recorded.totals.tenant(tenant).unwrap_or(&unused);
    let currency = plan.plan.currency;
    let (lines, total) = rating::rate(&plan.plan, usage)
        .and_then(|lines| rating::total(&lines, currency).map(|total| (lines, total)))
        .map_err(|source| InvoiceError::Rating { tenant, plan: plan.plan.id.clone(), version: plan.version, source })?;
    Ok(Invoice {
        tenant,
        tenant_name: account.tenant.name.clone(),
        plan: plan.plan.id.clone(),
        plan_name: plan.plan.name.clone(),
        plan_version: plan.version,
        currency,
        zone: account.tenant.zone.clone(),
        window: account.window,
        counts: Counts {
            requests: usage.requests,
            billable_requests: usage.billable_requests,
            billable_units: usage.billable_units,
            test_requests: usage.test_requests,
            refused_requests: recorded.refused.get(&tenant).copied().unwrap_or(0),
        },
        lines,
        total,
    })
}

impl Recorded {
    /// Reads usage and refusals of `only` one tenant or of all; those of tenants without an account count in `utc`.
    async fn read(
        store: &Store,
        accounts: &[Account],
        utc: Window,
        only: Option<TenantId>,
    ) -> Result<Self, InvoiceError> {
        let windows: HashMap<TenantId, Window> =
            accounts.iter().map(|account| (account.tenant.id, account.window)).collect();
        let counts = |tenant: TenantId, hour: Micros| match windows.get(&tenant) {
            Some(window) => window.contains(hour),
            None => only.is_none() && utc.contains(hour),
        };
        // One tenant is asked for by itself; one with others that it pays for is picked from all.
        let asked = only.filter(|_| accounts.len() == 1);
        let mut recorded = Self::default();
        for slice in slices(hull(windows.values().copied(), utc)) {
            let filter = UsageFilter { tenant: asked, window: Some(slice) };
            for sum in store.usage(&filter).await? {
                if counts(sum.tenant, sum.hour) {
                    recorded.totals.add(&sum).map_err(InvoiceError::Sum)?;
                }
            }
            for sum in store.refusals(&filter).await? {
                if counts(sum.tenant, sum.hour) {
                    let refused = recorded.refused.entry(sum.tenant).or_default();
                    *refused = refused.checked_add(sum.count).ok_or(InvoiceError::Refusals(sum.tenant))?;
                }
            }
        }
        Ok(recorded)
    }

    /// The same, as it is paid for. What nobody pays for stays with who used it.
    fn by_payer(&self, payers: &Payers) -> Result<Self, InvoiceError> {
        let mut billed = Self::default();
        for (tenant, totals) in self.totals.iter() {
            let payer = payers.payer(tenant).unwrap_or(tenant);
            billed.totals.add_all(payer, totals).map_err(InvoiceError::Sum)?;
        }
        for (tenant, count) in &self.refused {
            let payer = payers.payer(*tenant).unwrap_or(*tenant);
            let refused = billed.refused.entry(payer).or_default();
            *refused = refused.checked_add(*count).ok_or(InvoiceError::Refusals(payer))?;
        }
        Ok(billed)
    }

    fn of_unknown_tenants(&self, accounts: &[Account]) -> Vec<UnbilledUsage> {
        let known: std::collections::HashSet<_> = accounts.iter().map(|account| account.tenant.id).collect();
        let mut unknown: Vec<_> = self
            .totals
            .iter()
            .filter(|(tenant, _)| !known.contains(tenant))
            .map(|(tenant, totals)| UnbilledUsage { tenant, units: totals.units })
            .collect();
        unknown.sort_by_key(|usage| usage.tenant);
        unknown
    }
}

/// The smallest window that holds all of `windows` and `first`.
fn hull(windows: impl Iterator<Item = Window>, first: Window) -> Window {
    windows.fold(first, |hull, window| Window { start: hull.start.min(window.start), end: hull.end.max(window.end) })
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
    async fn read(&mut self, store: &Store, subscription: &Subscription) -> Result<&PlanVersion, StoreError> {
        match self.0.entry((subscription.plan_owner, subscription.plan.clone(), subscription.version)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(store.pinned_plan(subscription).await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(plan: &str, starts_at: i64, ends_at: Option<i64>) -> Subscription {
        Subscription {
            tenant: TenantId::from_u128(1),
            plan_owner: TenantId::from_u128(1),
            plan: plan.parse().unwrap(),
            version: 1,
            starts_at: Micros(starts_at),
            ends_at: ends_at.map(Micros),
        }
    }

    fn chosen(subscriptions: &[Subscription]) -> Option<String> {
        let window = Window { start: Micros(100), end: Micros(200) };
        last_overlapping(subscriptions.to_vec(), window).map(|subscription| subscription.plan.to_string())
    }

    #[test]
    fn a_subscription_counts_if_it_overlaps_the_half_open_period() {
        assert_eq!(chosen(&[subscription("a", 0, None)]).as_deref(), Some("a"));
        assert_eq!(chosen(&[subscription("a", 199, None)]).as_deref(), Some("a"));
        assert_eq!(chosen(&[subscription("a", 0, Some(101))]).as_deref(), Some("a"));
        assert_eq!(chosen(&[subscription("a", 200, None)]), None);
        assert_eq!(chosen(&[subscription("a", 0, Some(100))]), None);
    }

    #[test]
    fn the_last_of_several_subscriptions_rates_the_period() {
        let changed =
            [subscription("a", 0, Some(150)), subscription("b", 150, Some(160)), subscription("c", 160, None)];
        assert_eq!(chosen(&changed).as_deref(), Some("c"));
    }

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
