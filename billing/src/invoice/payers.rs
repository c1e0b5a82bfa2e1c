//! The payer of a tenant's usage: at every instant, the nearest tenant on the way up that has a
//! subscription of its own then, itself first. The way is the one of that instant, not that of
//! today.

use std::collections::{BTreeSet, HashMap};

use common::{
    id::TenantId,
    plan::subscription::Subscription,
    tenant::{TenantAccount, TenantParent},
    time::{Micros, Window},
};

/// More levels than a tree has; it ends a circle that only a damaged store can hold.
const LEVELS_MAX: usize = 16;

/// A paying tenant, and the subscription by which it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payer {
    pub(super) tenant: TenantId,
    /// Place among all subscriptions of the payer, by start.
    pub(super) subscription: usize,
}

/// Parents and subscriptions of all tenants over time.
#[derive(Debug, Default)]
pub(super) struct Payers {
    parents: HashMap<TenantId, Vec<TenantParent>>,
    subscriptions: HashMap<TenantId, Vec<Subscription>>,
}

impl Payers {
    /// `parents` and `subscriptions` come by start.
    pub(super) fn new(
        accounts: &[TenantAccount],
        parents: Vec<TenantParent>,
        subscriptions: Vec<Subscription>,
    ) -> Self {
        let mut payers = Self::default();
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

    /// The payer of what `tenant` uses at `at`; `None` without a subscription on its way up.
    pub(super) fn payer(&self, tenant: TenantId, at: Micros) -> Option<Payer> {
        let mut level = tenant;
        for _ in 0..LEVELS_MAX {
            if let Some(subscription) = self.in_force(level, at) {
                return Some(Payer { tenant: level, subscription });
            }
            level = self.parent(level, at)?;
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;

    const RESELLERS: [TenantId; 2] = [TenantId::from_u128(1), TenantId::from_u128(2)];
    const CUSTOMER: TenantId = TenantId::from_u128(3);

    fn subscription(tenant: TenantId, starts_at: i64, ends_at: Option<i64>) -> Subscription {
        let plan = "a".parse().unwrap();
        Subscription {
            tenant,
            plan_owner: RESELLERS[0],
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
        Payers::new(&[], parents, subscriptions)
    }

    #[test]
    fn payer_of_an_instant_is_found_in_the_tree_of_that_instant() {
        let by_resellers = RESELLERS.map(|reseller| subscription(reseller, 0, None)).to_vec();
        let payers = payers(by_resellers);
        let payer = |at| payers.payer(CUSTOMER, Micros(at)).map(|payer| payer.tenant);
        assert_eq!([-1, 0, 99, 100].map(payer), [None, Some(RESELLERS[0]), Some(RESELLERS[0]), Some(RESELLERS[1])]);
    }

    #[test]
    fn plan_of_ones_own_pays_while_it_is_in_force_only() {
        let payers = payers(vec![
            subscription(RESELLERS[1], 0, None),
            subscription(CUSTOMER, 110, Some(120)),
            subscription(CUSTOMER, 130, None),
        ]);
        let payer = |at| payers.payer(CUSTOMER, Micros(at)).unwrap();
        let (own, inherited) = (|subscription| Payer { tenant: CUSTOMER, subscription }, payer(105));
        assert_eq!(inherited.tenant, RESELLERS[1]);
        assert_eq!([110, 119, 120, 129, 130].map(payer), [own(0), own(0), inherited, inherited, own(1)]);
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
