//! Plan versions that subscriptions pin, each read from the store once.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use common::{
    coupon::{Coupon, CouponDiscount, CouponRedemption},
    id::TenantId,
    plan::{
        Plan, PlanVersion,
        subscription::{
            BillingOverride, Subscription,
            add_on::AddOn,
            cycles::{BillCycles, CycleTerms},
        },
    },
    store::{Store, StoreError},
    time::{CyclePeriod, Micros, Window},
};

use super::{
    InvoiceError,
    payers::{Bill, PlanKey, key},
};
use crate::rating::{self, PeriodTerms, Term};

/// Plan versions read so far, and the terms of subscriptions.
pub(super) struct Plans {
    /// By owner, name and version.
    known: HashMap<PlanKey, PlanVersion>,
    /// Plans that stand in for those that have their names.
    replacing: Vec<Plan>,
    /// Terms of subscriptions that differ from their plans', by tenant and start.
    overrides: HashMap<(TenantId, Micros), BillingOverride>,
    add_ons: HashMap<TenantId, Vec<AddOn>>,
    coupons: HashMap<TenantId, Vec<CouponRedemption>>,
}

/// A period of a bill, among those of its cycles.
pub(super) type At<'a> = (Bill, CyclePeriod, &'a BillCycles);

/// Plans, add-ons and coupons that rate a period of a bill.
pub(super) struct BillTerms<'a> {
    period: CyclePeriod,
    pub(super) plans: Vec<Term<'a>>,
    add_ons: Vec<rating::AddOn<'a>>,
    coupons: Vec<rating::Coupon>,
}

impl BillTerms<'_> {
    /// The same, as it is rated.
    pub(super) fn of_period(&self) -> PeriodTerms<'_> {
        PeriodTerms { period: self.period, plans: &self.plans, add_ons: &self.add_ons, coupons: &self.coupons }
    }
}

fn coupon(coupon: &Coupon) -> rating::Coupon {
    let discount = match coupon.discount {
        CouponDiscount::Percent(percent) => rating::Discount::Percent(percent),
        CouponDiscount::Amount(amount) => rating::Discount::Amount(amount),
    };
    rating::Coupon { code: coupon.code.clone(), discount, meter: coupon.meter.clone() }
}

/// The terms of a subscription that has none of its own.
static PLAIN: BillingOverride = BillingOverride::NONE;

impl Plans {
    /// No plans yet, of which `replacing` will stand in for those that have their names.
    pub(super) async fn of(store: &Store, replacing: Vec<Plan>) -> Result<Self, StoreError> {
        let mut plans = Self {
            known: HashMap::new(),
            replacing,
            overrides: store.billing_overrides().await?,
            add_ons: store.add_ons().await?,
            coupons: store.coupon_redemptions().await?,
        };
        let pinned: Vec<Subscription> = plans.add_ons.values().flatten().map(AddOn::as_subscription).collect();
        for one in &pinned {
            plans.read(store, one).await?;
        }
        Ok(plans)
    }

    /// Plans, add-ons and coupons that rate a period of a bill. Its plans were read before, and its
    /// subscriptions come by start.
    pub(super) fn rating<'a>(
        &'a self,
        (bill, period, cycles): At<'_>,
        subscriptions: &[&Subscription],
    ) -> Result<BillTerms<'a>, InvoiceError> {
        let term = |one: &&Subscription| {
            let part = Window { start: one.starts_at, end: one.ends_at.unwrap_or(Micros(i64::MAX)) };
            Some(Term { plan: &self.known(one)?.plan, terms: self.terms_of(one), part })
        };
        let plans: Vec<Term<'a>> = subscriptions.iter().filter_map(term).collect();
        let mut terms = BillTerms { period, plans, add_ons: Vec::new(), coupons: Vec::new() };
        for one in self.add_ons.get(&bill.tenant).into_iter().flatten().filter(|one| one.plan_owner == bill.issuer) {
            let plan = self.known(&one.as_subscription()).ok_or(InvoiceError::Plan(bill.tenant))?;
            let part = Window { start: one.starts_at, end: one.ends_at.unwrap_or(Micros(i64::MAX)) };
            terms.add_ons.push(rating::AddOn { plan: &plan.plan, quantity: one.quantity, part });
        }
        let Some(last) = terms.plans.last().map(|last| last.plan) else { return Ok(terms) };
        let redeemed = self.coupons.get(&bill.tenant).into_iter().flatten();
        for one in redeemed.filter(|one| one.coupon.issuer == bill.issuer) {
            let counts = one.counts(period.window, &last.id, last.currency, cycles);
            if counts.map_err(|source| InvoiceError::Clock { tenant: bill.tenant, source })? {
                terms.coupons.push(coupon(&one.coupon));
            }
        }
        Ok(terms)
    }

    /// The terms of a subscription.
    pub(super) fn terms_of(&self, subscription: &Subscription) -> &BillingOverride {
        self.overrides.get(&(subscription.tenant, subscription.starts_at)).unwrap_or(&PLAIN)
    }

    /// Days of the longest period of any plan that was read.
    pub(super) fn longest_period_days(&self) -> i64 {
        self.known.values().map(|version| version.plan.billing.cycle.days_at_most()).max().unwrap_or(0)
    }

    /// The terms of a subscription that decide about its billing cycle.
    pub(super) fn cycle_terms<'a>(&'a self, subscription: &'a Subscription) -> CycleTerms<'a> {
        let billing = self.known(subscription).map(|version| &version.plan.billing);
        (subscription, billing, self.terms_of(subscription))
    }

    pub(super) async fn read(&mut self, store: &Store, subscription: &Subscription) -> Result<(), StoreError> {
        if let Entry::Vacant(entry) = self.known.entry(key(subscription)) {
            let mut version = store.pinned_plan(subscription).await?;
            if let Some(plan) = self.replacing.iter().find(|plan| plan.id == version.plan.id) {
                version.plan.clone_from(plan);
            }
            entry.insert(version);
        }
        Ok(())
    }

    pub(super) fn known(&self, subscription: &Subscription) -> Option<&PlanVersion> {
        self.known.get(&key(subscription))
    }

    /// Plans of subscriptions that say `billing.wholesale`. One that cannot be read is the fault of
    /// the bills that it rates.
    pub(super) async fn wholesale(
        &mut self,
        store: &Store,
        subscriptions: &[Subscription],
    ) -> Result<HashSet<PlanKey>, InvoiceError> {
        let (mut found, mut unreadable) = (HashSet::new(), HashSet::new());
        for subscription in subscriptions {
            let key = key(subscription);
            if unreadable.contains(&key) {
                continue;
            }
            match self.read(store, subscription).await.map_err(InvoiceError::from) {
                Ok(()) => {}
                Err(error) if error.is_of_one_tenant() => drop(unreadable.insert(key.clone())),
                Err(error) => return Err(error),
            }
            if self.known.get(&key).is_some_and(|version| version.plan.billing.wholesale) {
                found.insert(key);
            }
        }
        Ok(found)
    }
}
