//! The payers of a tenant's usage. For each issuer whose plans stand on the way up at an instant, it
//! is the nearest tenant that has a subscription to a plan of that issuer then, itself first; above
//! it, whoever has a plan that says `billing.wholesale` pays as well. The way is the one of that
//! instant, not that of today.

use std::collections::{BTreeSet, HashMap, HashSet};

use common::{
    id::TenantId,
    plan::{PlanId, subscription::Subscription},
    tenant::{TenantAccount, TenantParent},
    time::{Micros, Window},
};

/// More levels than a tree has; it ends a circle that only a damaged store can hold.
const LEVELS_MAX: usize = 16;

/// One bill: of a tenant, from an issuer, for a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Bill {
    pub(super) tenant: TenantId,
    pub(super) issuer: TenantId,
}

impl From<Bill> for TenantId {
    fn from(bill: Bill) -> Self {
        bill.tenant
    }
}

/// One bill for one of its periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PeriodBill {
    pub(super) bill: Bill,
    /// The start of the period.
    pub(super) start: Micros,
}

impl From<PeriodBill> for TenantId {
    fn from(one: PeriodBill) -> Self {
        one.bill.tenant
    }
}

/// A paying tenant, and the subscription by which it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payer {
    pub(super) bill: Bill,
    /// Place among all subscriptions of the payer, by start.
    pub(super) subscription: usize,
    /// True if it pays whatever those below it pay by themselves.
    pub(super) wholesale: bool,
}

/// The name of a plan version.
pub(super) type PlanKey = (TenantId, PlanId, i64);

/// Parents and subscriptions of all tenants over time.
#[derive(Debug, Default)]
pub(super) struct Payers {
    parents: HashMap<TenantId, Vec<TenantParent>>,
    subscriptions: HashMap<TenantId, Vec<Subscription>>,
    wholesale: HashSet<PlanKey>,
}

impl Payers {
    /// `parents` and `subscriptions` come by start; `wholesale` are the plans that say so.
    pub(super) fn new(
        accounts: &[TenantAccount],
        parents: Vec<TenantParent>,
        subscriptions: Vec<Subscription>,
        wholesale: HashSet<PlanKey>,
    ) -> Self {
        let mut payers = Self { wholesale, ..Self::default() };
        for parent in parents {
            payers.parents.entry(parent.tenant).or_default().push(parent);
        }
        for subscription in subscriptions {
            payers.subscriptions.entry(subscription.tenant).or_default().push(subscription);
        }
        // A tenant that was written past the store has no history: its parent of today was always
        // its parent.
        for account in accounts {
            let Some(parent) = account.parent else { continue };
            let always = TenantParent { tenant: account.id, parent, starts_at: Micros(i64::MIN), ends_at: None };
            payers.parents.entry(account.id).or_insert_with(|| vec![always]);
        }
        payers
    }

    /// The payers of what `tenant` uses at `at`, the nearest first; nobody without a subscription on
    /// its way up.
    pub(super) fn payers(&self, tenant: TenantId, at: Micros) -> Vec<Payer> {
        let mut found: Vec<Payer> = Vec::new();
        for (level, place) in self.plans_above(tenant, at) {
            let Some(subscription) = self.subscriptions.get(&level).and_then(|all| all.get(place)) else { continue };
            let bill = Bill { tenant: level, issuer: subscription.plan_owner };
            let wholesale = !self.wholesale.is_empty() && self.wholesale.contains(&key(subscription));
            if wholesale || !found.iter().any(|payer| payer.bill.issuer == bill.issuer) {
                found.push(Payer { bill, subscription: place, wholesale });
            }
        }
        found
    }

    /// Everybody on the way up of `tenant` at `at`, itself first, who had a subscription then, and
    /// its place among all of its own.
    pub(super) fn plans_above(&self, tenant: TenantId, at: Micros) -> impl Iterator<Item = (TenantId, usize)> {
        let way = std::iter::successors(Some(tenant), move |level| self.parent(*level, at)).take(LEVELS_MAX);
        way.filter_map(move |level| Some((level, self.in_force(level, at)?)))
    }

    /// The tenant and everybody who was above it at any time.
    pub(super) fn ever_above(&self, tenant: TenantId) -> BTreeSet<TenantId> {
        let (mut found, mut open) = (BTreeSet::new(), vec![tenant]);
        while let Some(level) = open.pop() {
            if found.insert(level) {
                open.extend(self.parents.get(&level).into_iter().flatten().map(|parent| parent.parent));
            }
        }
        found
    }

    /// The instants at which a plan or parent of the tenant, or of anybody who was ever above it,
    /// begins or ends.
    pub(super) fn turns(&self, tenant: TenantId) -> BTreeSet<Micros> {
        let mut turns = BTreeSet::new();
        for level in self.ever_above(tenant) {
            let plans = self.subscriptions.get(&level).into_iter().flatten().map(|one| (one.starts_at, one.ends_at));
            let parents = self.parents.get(&level).into_iter().flatten().map(|one| (one.starts_at, one.ends_at));
            turns.extend(plans.chain(parents).flat_map(|(start, end)| [Some(start), end]).flatten());
        }
        turns
    }

    /// The subscriptions of a tenant that are in force at some instant of `window`, by start, and
    /// the place of the first of them among all.
    pub(super) fn within(&self, tenant: TenantId, window: Window) -> (usize, &[Subscription]) {
        let all = self.subscriptions.get(&tenant).map(Vec::as_slice).unwrap_or_default();
        let overlaps =
            |one: &Subscription| one.starts_at < window.end && one.ends_at.is_none_or(|end| end > window.start);
        let first = all.iter().position(overlaps).unwrap_or(all.len());
        let count = all[first..].iter().take_while(|one| overlaps(one)).count();
        (first, &all[first..first + count])
    }

    /// All subscriptions of a tenant to plans of one issuer, by start.
    pub(super) fn subscriptions_of(&self, bill: Bill) -> impl Iterator<Item = &Subscription> {
        let all = self.subscriptions.get(&bill.tenant).into_iter().flatten();
        all.filter(move |one| one.plan_owner == bill.issuer)
    }

    /// The subscriptions that rate a bill's usage in `window`, by start.
    pub(super) fn rating(&self, bill: Bill, window: Window) -> Vec<&Subscription> {
        self.within(bill.tenant, window).1.iter().filter(|one| one.plan_owner == bill.issuer).collect()
    }

    /// The issuers of a tenant's subscriptions, each once, by the start of its first.
    pub(super) fn issuers_of(&self, tenant: TenantId) -> Vec<TenantId> {
        let mut issuers = Vec::new();
        for subscription in self.subscriptions.get(&tenant).into_iter().flatten() {
            if !issuers.contains(&subscription.plan_owner) {
                issuers.push(subscription.plan_owner);
            }
        }
        issuers
    }

    /// Returns true if anybody was ever right below the tenant.
    pub(super) fn has_others_below(&self, tenant: TenantId) -> bool {
        self.parents.values().flatten().any(|parent| parent.parent == tenant)
    }

    fn parent(&self, tenant: TenantId, at: Micros) -> Option<TenantId> {
        let known = self.parents.get(&tenant)?;
        known.iter().rev().find(|parent| parent.window().contains(at)).map(|parent| parent.parent)
    }

    fn in_force(&self, tenant: TenantId, at: Micros) -> Option<usize> {
        let known = self.subscriptions.get(&tenant)?;
        known.iter().rposition(|one| one.starts_at <= at && one.ends_at.is_none_or(|end| end > at))
    }
}

/// The version that a subscription pins. Plan names are unique within their owner only.
pub(super) fn key(subscription: &Subscription) -> PlanKey {
    (subscription.plan_owner, subscription.plan.clone(), subscription.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: TenantId = TenantId::from_u128(9);
    const RESELLERS: [TenantId; 2] = [TenantId::from_u128(1), TenantId::from_u128(2)];
    const CUSTOMER: TenantId = TenantId::from_u128(3);

    fn subscription(tenant: TenantId, starts_at: i64, ends_at: Option<i64>) -> Subscription {
        let plan = "a".parse().unwrap();
        Subscription {
            tenant,
            plan_owner: ROOT,
            plan,
            version: 1,
            starts_at: Micros(starts_at),
            ends_at: ends_at.map(Micros),
        }
    }

    fn payers(subscriptions: Vec<Subscription>) -> Payers {
        let span = |parent, starts_at, ends_at: Option<i64>| TenantParent {
            tenant: CUSTOMER,
            parent,
            starts_at: Micros(starts_at),
            ends_at: ends_at.map(Micros),
        };
        let parents = vec![span(RESELLERS[0], i64::MIN, Some(100)), span(RESELLERS[1], 100, None)];
        Payers::new(&[], parents, subscriptions, HashSet::new())
    }

    #[test]
    fn payer_of_an_instant_is_found_in_the_tree_of_that_instant() {
        let by_resellers = RESELLERS.map(|reseller| subscription(reseller, 0, None)).to_vec();
        let payers = payers(by_resellers);
        let payer = |at| payers.payers(CUSTOMER, Micros(at)).first().map(|payer| payer.bill.tenant);
        assert_eq!([-1, 0, 99, 100].map(payer), [None, Some(RESELLERS[0]), Some(RESELLERS[0]), Some(RESELLERS[1])]);
    }

    #[test]
    fn plan_of_ones_own_pays_while_it_is_in_force_only() {
        let payers = payers(vec![
            subscription(RESELLERS[1], 0, None),
            subscription(CUSTOMER, 110, Some(120)),
            subscription(CUSTOMER, 130, None),
        ]);
        let payer = |at| payers.payers(CUSTOMER, Micros(at))[0];
        let bill = Bill { tenant: CUSTOMER, issuer: ROOT };
        let (own, inherited) = (|subscription| Payer { bill, subscription, wholesale: false }, payer(105));
        assert_eq!(inherited.bill.tenant, RESELLERS[1]);
        assert_eq!([110, 119, 120, 129, 130].map(payer), [own(0), own(0), inherited, inherited, own(1)]);
    }

    #[test]
    fn plan_of_a_reseller_does_not_free_the_reseller_from_its_own_bill() {
        let own = Subscription { plan_owner: RESELLERS[0], ..subscription(CUSTOMER, 0, None) };
        let payers = payers(vec![subscription(RESELLERS[0], 0, None), own]);
        let bills: Vec<_> = payers.payers(CUSTOMER, Micros(5)).into_iter().map(|payer| payer.bill).collect();
        let retail = Bill { tenant: CUSTOMER, issuer: RESELLERS[0] };
        assert_eq!(bills, [retail, Bill { tenant: RESELLERS[0], issuer: ROOT }]);
    }

    #[test]
    fn wholesale_plan_pays_beside_a_plan_of_the_same_issuer_below() {
        let wholesale = Subscription { plan: "bulk".parse().unwrap(), ..subscription(RESELLERS[0], 0, None) };
        let spans =
            vec![TenantParent { tenant: CUSTOMER, parent: RESELLERS[0], starts_at: Micros(i64::MIN), ends_at: None }];
        let bulk = HashSet::from([key(&wholesale)]);
        for (plans, expected) in [(bulk, vec![CUSTOMER, RESELLERS[0]]), (HashSet::new(), vec![CUSTOMER])] {
            let subscriptions = vec![wholesale.clone(), subscription(CUSTOMER, 0, None)];
            let payers = Payers::new(&[], spans.clone(), subscriptions, plans);
            let found: Vec<_> = payers.payers(CUSTOMER, Micros(5)).iter().map(|payer| payer.bill.tenant).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn subscription_counts_if_it_overlaps_the_half_open_period() {
        let window = Window { start: Micros(100), end: Micros(200) };
        for (starts_at, ends_at, counts) in
            [(0, None, 1), (199, None, 1), (0, Some(101), 1), (200, None, 0), (0, Some(100), 0)]
        {
            let payers = payers(vec![subscription(CUSTOMER, starts_at, ends_at)]);
            assert_eq!(payers.within(CUSTOMER, window).1.len(), counts, "{starts_at} {ends_at:?}");
        }
        let changed = payers(vec![
            subscription(CUSTOMER, 0, Some(50)),
            subscription(CUSTOMER, 50, Some(150)),
            subscription(CUSTOMER, 150, None),
        ]);
        let (first, within) = changed.within(CUSTOMER, window);
        assert_eq!((first, within.len()), (1, 2));
    }
}
