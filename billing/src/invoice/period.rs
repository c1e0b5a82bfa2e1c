//! The period that is billed, each payer's in its own time zone.

use std::collections::HashMap;

use common::{
    id::TenantId,
    plan::subscription::{Subscription, cycles::BillCycles},
    store::Store,
    tenant::TenantAccount,
    time::{CyclePeriod, Micros, Period, TimeError, Window, Zone},
};

use super::{
    InvoiceError,
    caps::Caps,
    payers::{Bill, Payer, Payers, PeriodBill},
    plans::Plans,
};

/// Longest time from the hour under which a sum is filed to its first usage.
const HOUR_SECONDS: i64 = 3_600;

/// Longest time from a period to the ends of a month that overlaps it in another time zone.
const MONTH_SECONDS: i64 = 33 * 86_400;

/// The periods to bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodChoice {
    /// Those that end within this month or with it, in each payer's own time zone.
    Named(Period),
    /// Those of them that have ended by this instant.
    Ended(Period, Micros),
    /// Those that contain this instant.
    Holding(Micros),
}

/// The periods of all payers, each in its own time zone, before usage is read.
pub(super) struct BillingPeriod {
    pub(super) accounts: Vec<TenantAccount>,
    pub(super) payers: Payers,
    /// The chosen periods of each bill, by start; none of tenants whose time zone is not known.
    periods: HashMap<Bill, Vec<CyclePeriod>>,
    cycles: HashMap<Bill, BillCycles>,
    /// The month of each tenant in its own time zone, if the zone is known.
    months: HashMap<TenantId, Window>,
    /// The month in UTC, for unknown tenants.
    utc: Window,
    pub(super) only: Option<TenantId>,
}

impl PeriodChoice {
    pub(super) fn period(self, zone: &Zone) -> Result<Period, InvoiceError> {
        match self {
            Self::Named(period) | Self::Ended(period, _) => Ok(period),
            Self::Holding(at) => Period::containing(at, zone)
                .map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source }),
        }
    }

    pub(super) fn month(self, zone: &Zone) -> Result<Window, InvoiceError> {
        let period = self.period(zone)?;
        period.window(zone).map_err(|source| InvoiceError::Period { zone: zone.name().to_owned(), source })
    }

    /// The chosen ones of a bill's periods; `month` is that of its tenant.
    fn periods(self, cycles: &BillCycles, month: Window) -> Result<Vec<CyclePeriod>, TimeError> {
        match self {
            Self::Named(_) => cycles.ending_in(month),
            Self::Ended(_, by) => {
                let mut ended = cycles.ending_in(month)?;
                ended.retain(|period| period.window.end <= by);
                Ok(ended)
            }
            Self::Holding(at) => Ok(cycles.period_at(at)?.into_iter().collect()),
        }
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
        let month = |account: &TenantAccount| choice.month(account.zone.as_ref().ok()?).ok();
        let months: HashMap<_, _> = accounts.iter().filter_map(|account| Some((account.id, month(account)?))).collect();
        let (mut periods, mut all_cycles) = (HashMap::new(), HashMap::new());
        for account in &accounts {
            let (Ok(zone), Some(month)) = (&account.zone, months.get(&account.id)) else { continue };
            for issuer in payers.issuers_of(account.id) {
                let bill = Bill { tenant: account.id, issuer };
                let terms = payers.subscriptions_of(bill).map(|subscription| plans.cycle_terms(subscription));
                let failed = |source| InvoiceError::Period { zone: zone.name().to_owned(), source };
                let cycles = BillCycles::new(terms, zone).map_err(failed)?;
                periods.insert(bill, choice.periods(&cycles, *month).map_err(failed)?);
                all_cycles.insert(bill, cycles);
            }
        }
        Ok(Self { accounts, payers, periods, cycles: all_cycles, months, utc: choice.month(&Zone::utc())?, only })
    }

    /// Returns true if no bill has a chosen period.
    pub(super) fn is_empty(&self) -> bool {
        self.periods.values().all(Vec::is_empty)
    }

    /// The chosen periods of a bill, by start.
    pub(super) fn of(&self, bill: Bill) -> &[CyclePeriod] {
        self.periods.get(&bill).map(Vec::as_slice).unwrap_or_default()
    }

    /// The cycles of a bill.
    pub(super) fn cycles(&self, bill: Bill) -> Option<&BillCycles> {
        self.cycles.get(&bill)
    }

    /// The chosen period of a bill that holds an instant; none of a bill that is not asked for.
    pub(super) fn of_bill_at(&self, bill: Bill, at: Micros) -> Option<PeriodBill> {
        let asked = self.of(bill).iter().filter(|_| self.only.is_none_or(|only| only == bill.tenant));
        let holding = asked.map(|period| period.window).find(|window| window.contains(at));
        holding.map(|window| PeriodBill { bill, start: window.start })
    }

    /// The windows of all chosen periods, and of the months of all tenants.
    fn windows(&self) -> impl Iterator<Item = (TenantId, Window)> {
        let billed = self.periods.iter().flat_map(|(bill, all)| all.iter().map(|one| (bill.tenant, one.window)));
        billed.chain(self.months.iter().map(|(tenant, month)| (*tenant, *month)))
    }

    /// The smallest window that contains the periods of all payers, from the hour before.
    pub(super) fn hull(&self) -> Window {
        let hull = |hull: Window, (_, window): (TenantId, Window)| Window {
            start: hull.start.min(window.start),
            end: hull.end.max(window.end),
        };
        let hull = self.windows().fold(self.utc, hull);
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
        let billed = self.windows().filter(|(tenant, _)| self.only.is_none_or(|only| only == *tenant));
        let widened = caps.widen(&self.payers, billed, Window { start: Micros(i64::MAX), end: Micros(i64::MIN) });
        let hull = self.hull();
        let start = widened.start.plus_seconds(-HOUR_SECONDS).min(hull.start);
        Window { start, end: widened.end.max(hull.end) }
    }

    /// The instants at which it may change who pays for what the tenant uses, by which plan and in
    /// which period.
    pub(super) fn turns(&self, tenant: TenantId) -> impl Iterator<Item = Micros> {
        let above = self.payers.ever_above(tenant).into_iter();
        let windows = above.flat_map(move |payer| {
            let issuers = self.payers.issuers_of(payer).into_iter();
            let billed = issuers.flat_map(move |issuer| self.of(Bill { tenant: payer, issuer }));
            billed.map(|period| period.window).chain(self.months.get(&payer).copied())
        });
        windows.flat_map(|window| [window.start, window.end]).chain(self.payers.turns(tenant))
    }

    /// The place of the paying plan among the plans of the bill's period.
    pub(super) fn place(&self, payer: Payer, at: Micros) -> usize {
        let Some(period) = self.of(payer.bill).iter().find(|period| period.window.contains(at)) else { return 0 };
        let (first, subscriptions) = self.payers.within(payer.bill.tenant, period.window);
        let before = payer.subscription.saturating_sub(first).min(subscriptions.len());
        subscriptions[..before].iter().filter(|one| one.plan_owner == payer.bill.issuer).count()
    }

    /// Returns true if what `tenant` used at `at` falls into its month and nobody pays for it.
    pub(super) fn counts_unpaid(&self, tenant: TenantId, at: Micros) -> bool {
        match self.months.get(&tenant) {
            Some(month) => self.only.is_none_or(|only| only == tenant) && month.contains(at),
            None => self.only.is_none() && self.utc.contains(at),
        }
    }
}
