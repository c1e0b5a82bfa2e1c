//! Limits on open reservations: in all, of one tenant and of one key.
//!
//! Invariant: neither a key nor a tenant can take every place. A key is refused for what it holds
//! itself, or because its tenant does; only when every place is taken is somebody else refused, and
//! the last quarter of the places goes to keys that hold less than an eighth of what is free.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use common::id::{KeyId, TenantId};

use crate::{config::Shares, lock::locked};

/// Part of what is free that a key may hold, once most places are taken.
const CROWDED_SHARE: usize = 8;

/// The reason for which one more reservation may not be opened, with the number of open ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The key holds its share, or too much of what is left.
    Key(usize),
    /// The tenant holds its share.
    Tenant(usize),
    /// Every place is taken.
    All(usize),
}

/// Every place there is.
pub(super) struct Places {
    shares: Shares,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    tenants: HashMap<TenantId, usize>,
    keys: HashMap<KeyId, usize>,
}

/// The place of one reservation, free again when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: TenantId,
    key: KeyId,
}

impl Places {
    pub(super) fn new(shares: Shares) -> Arc<Self> {
        Arc::new(Self { shares, taken: Mutex::default() })
    }

    pub(super) const fn all(&self) -> usize {
        self.shares.all
    }

    /// Takes a place for a reservation of this key.
    pub(super) fn take(self: &Arc<Self>, tenant: TenantId, key: KeyId) -> Result<Place, NoPlace> {
        let mut taken = locked(&self.taken);
        taken.check(&self.shares, tenant, key)?;
        taken.all += 1;
        *taken.tenants.entry(tenant).or_default() += 1;
        *taken.keys.entry(key).or_default() += 1;
        drop(taken);
        Ok(Place { places: Arc::clone(self), tenant, key })
    }
}

impl Taken {
    fn check(&self, shares: &Shares, tenant: TenantId, key: KeyId) -> Result<(), NoPlace> {
        let of_key = self.keys.get(&key).copied().unwrap_or_default();
        let of_tenant = self.tenants.get(&tenant).copied().unwrap_or_default();
        if of_key >= shares.key {
            return Err(NoPlace::Key(of_key));
        }
        if of_tenant >= shares.tenant {
            return Err(NoPlace::Tenant(of_tenant));
        }
        let free = shares.all.saturating_sub(self.all);
        if free == 0 {
            return Err(NoPlace::All(self.all));
        }
        let is_crowded = free <= shares.all / 4;
        if is_crowded && of_key >= free.div_ceil(CROWDED_SHARE) {
            return Err(NoPlace::Key(of_key));
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = locked(&self.places.taken);
        taken.all = taken.all.saturating_sub(1);
        let Taken { tenants, keys, .. } = &mut *taken;
        give_back(tenants, &self.tenant);
        give_back(keys, &self.key);
    }
}

/// Nobody who holds nothing is remembered.
fn give_back<T: Hash + Eq>(counts: &mut HashMap<T, usize>, owner: &T) {
    if let Some(count) = counts.get_mut(owner) {
        *count -= 1;
        if *count == 0 {
            counts.remove(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares { all: 100, tenant: 50, key: 10 };

    fn tenant(number: u128) -> TenantId {
        TenantId::from_u128(number)
    }

    fn key(number: u128) -> KeyId {
        KeyId::from_u128(number)
    }

    /// As many places as this key gets.
    fn fill(places: &Arc<Places>, of: TenantId, by: KeyId) -> (Vec<Place>, NoPlace) {
        let mut held = Vec::new();
        loop {
            match places.take(of, by) {
                Ok(room) => held.push(room),
                Err(reason) => return (held, reason),
            }
        }
    }

    #[test]
    fn key_gets_its_share_and_others_theirs() {
        let places = Places::new(SHARES);
        let (held, reason) = fill(&places, tenant(1), key(1));
        assert_eq!((held.len(), reason), (10, NoPlace::Key(10)));
        let (others, reason) = fill(&places, tenant(1), key(2));
        assert_eq!((others.len(), reason), (10, NoPlace::Key(10)));
        drop(held);
        assert_eq!(fill(&places, tenant(1), key(1)).0.len(), 10, "what ended gives way");
    }

    #[test]
    fn tenant_with_many_keys_gets_its_share() {
        let places = Places::new(SHARES);
        let held: Vec<_> = (0..20).map(|number| fill(&places, tenant(1), key(number))).collect();
        assert_eq!(held.iter().map(|(places, _)| places.len()).sum::<usize>(), 50);
        assert_eq!(held.last().map(|(_, reason)| *reason), Some(NoPlace::Tenant(50)));
        assert_eq!(fill(&places, tenant(2), key(99)).0.len(), 10);
    }

    #[test]
    fn last_places_are_for_keys_that_hold_little() {
        let places = Places::new(Shares { tenant: 100, ..SHARES });
        let mut held: Vec<_> = (0..20).map(|number| fill(&places, tenant(number), key(number)).0).collect();
        assert!(held.iter().all(|places| !places.is_empty()), "each of twenty keys that want all gets something");
        assert!(held.iter().map(Vec::len).sum::<usize>() <= 100);
        held.clear();
        assert!(locked(&places.taken).keys.is_empty() && locked(&places.taken).tenants.is_empty());
    }

    #[test]
    fn last_place_taken_refuses_everybody() {
        let places = Places::new(Shares { all: 2, tenant: 2, key: 2 });
        let _held = [places.take(tenant(1), key(1)), places.take(tenant(2), key(2))];
        assert_eq!(places.take(tenant(3), key(3)).err(), Some(NoPlace::All(2)));
    }
}
