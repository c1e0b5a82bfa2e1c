//! The period that is billed, each payer's in its own time zone.

use std::collections::HashMap;

use common::{
    id::TenantId,
    plan::subscription::Subscription,
    store::Store,
    tenant::TenantAccount,
    time::{Micros, Period, Window, Zone},
};

use super::{
    InvoiceError,
    caps::Caps,
    payers::{Payer, Payers},
    plans::Plans,
};

/// Longest time from the hour under which a sum is filed to its first usage.
const HOUR_SECONDS: i64 = 3_600;

/// Longest time from a period to the ends of a month that overlaps it in another time zone.
const MONTH_SECONDS: i64 = 33 * 86_400;

/// The period to bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodChoice {
    /// This month, in each payer's own time zone.
    Named(Period),
    /// The month that contains this instant, in each payer's own time zone.
    Holding(Micros),
}

/// A period of all payers, each in its own time zone, before usage is read.
pub(super) struct BillingPeriod {
    pub(super) accounts: Vec<TenantAccount>,
    pub(super) payers: Payers,
    /// The period of each tenant in its own time zone, if the zone is known.
    pub(super) windows: HashMap<TenantId, Window>,
    /// The period in UTC, for unknown tenants.
    pub(super) utc: Window,
    pub(super) only: Option<TenantId>,
}

impl PeriodChoice {
    pub(super) fn period(self, zone: &Zone) -> Result<Period, InvoiceError> {
        match self {
            Self::Named(period) => Ok(period),
            Self::Holding(at) => Period::containing(at, zone)
                .map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source }),
        }
    }

    pub(super) fn window(self, zone: &Zone) -> Result<Window, InvoiceError> {
        let period = self.period(zone)?;
        period.window(zone).map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source })
    }
}

/// Puts a subscription among those that there are, in place of what its tenant would have from then
/// on.
fn suppose(subscriptions: &mut Vec<Subscription>, supposed: Subscription) {
    let (tenant, from) = (supposed.tenant, supposed.starts_at);
    subscriptions.retain(|one| one.tenant != tenant || one.starts_at < from);
    let before = subscriptions.iter_mut().filter(|one| one.tenant == tenant);
    before.for_each(|one| one.ends_at = Some(one.ends_at.map_or(from, |end| end.min(from))));
    let place = subscriptions.iter().rposition(|one| one.tenant == tenant).map_or(subscriptions.len(), |last| last + 1);
    subscriptions.insert(place, supposed);
}

impl BillingPeriod {
    pub(super) async fn read(
        store: &Store,
        choice: PeriodChoice,
        only: Option<TenantId>,
        plans: &mut Plans,
        supposed: Option<Subscription>,
    ) -> Result<Self, InvoiceError> {
        if let Some(id) = only {
            // An unknown tenant is an error, not a tenant without an invoice.
            store.tenant(id).await?;
        }
        let accounts = store.tenant_accounts().await?;
        let (parents, mut subscriptions) = (store.tenant_parents().await?, store.subscriptions().await?);
        if let Some(supposed) = supposed {
            suppose(&mut subscriptions, supposed);
        }
        let wholesale = plans.wholesale(store, &subscriptions).await?;
        let payers = Payers::new(&accounts, parents, subscriptions, wholesale);
        let window = |account: &TenantAccount| choice.window(account.zone.as_ref().ok()?).ok();
        let windows = accounts.iter().filter_map(|account| Some((account.id, window(account)?))).collect();
        Ok(Self { accounts, payers, windows, utc: choice.window(&Zone::utc())?, only })
    }

    /// The smallest window that contains the periods of all payers, from the hour before.
    pub(super) fn hull(&self) -> Window {
        let hull = |hull: Window, window: &Window| Window {
            start: hull.start.min(window.start),
            end: hull.end.max(window.end),
        };
        let hull = self.windows.values().fold(self.utc, hull);
        Window { start: hull.start.plus_seconds(-HOUR_SECONDS), end: hull.end }
    }

    /// The hard quotas that may count in the period.
    pub(super) async fn caps(&self, store: &Store, plans: &mut Plans) -> Result<Caps, InvoiceError> {
        let hull = self.hull();
        let window =
            Window { start: hull.start.plus_seconds(-MONTH_SECONDS), end: hull.end.plus_seconds(MONTH_SECONDS) };
        let zones = self.accounts.iter().map(|account| (account.id, account.zone.clone()));
        Caps::read(store, &self.payers, zones, window, plans).await
    }

    /// The window of usage to read: every hour of the periods, and of the months of the hard quotas
    /// that count in them.
    pub(super) fn window(&self, caps: &Caps) -> Window {
        let billed = self.windows.iter().filter(|(tenant, _)| self.only.is_none_or(|only| only == **tenant));
        let widened = caps.widen(&self.payers, billed, Window { start: Micros(i64::MAX), end: Micros(i64::MIN) });
        let hull = self.hull();
        let start = widened.start.plus_seconds(-HOUR_SECONDS).min(hull.start);
        Window { start, end: widened.end.max(hull.end) }
    }

    /// The instants at which it may change who pays for what the tenant uses, by which plan and in
    /// which period.
    pub(super) fn turns(&self, tenant: TenantId) -> impl Iterator<Item = Micros> {
        let payers = self.payers.ever_above(tenant).into_iter();
        let windows = payers.filter_map(|payer| self.windows.get(&payer));
        windows.flat_map(|window| [window.start, window.end]).chain(self.payers.turns(tenant))
    }

    /// The place of the paying plan among the plans of the bill's period.
    pub(super) fn place(&self, payer: Payer) -> usize {
        let tenant = payer.bill.tenant;
        let Some(window) = self.windows.get(&tenant) else { return 0 };
        let (first, subscriptions) = self.payers.within(tenant, *window);
        let before = payer.subscription.saturating_sub(first).min(subscriptions.len());
        subscriptions[..before].iter().filter(|one| one.plan_owner == payer.bill.issuer).count()
    }

    /// Returns true if what `tenant` used at `at` falls into this period of `payer`, or of the
    /// tenant itself without a payer.
    pub(super) fn counts(&self, tenant: TenantId, payer: Option<TenantId>, at: Micros) -> bool {
        let account = payer.unwrap_or(tenant);
        match self.windows.get(&account) {
            Some(window) => self.only.is_none_or(|only| only == account) && window.contains(at),
            None => self.only.is_none() && payer.is_none() && self.utc.contains(at),
        }
    }
}
