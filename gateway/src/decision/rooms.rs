//! How many reservations may be open at once: in all, of one tenant and of one key.
//!
//! Invariant: neither a key nor a tenant can take every place. A key is refused for what it holds itself, or because
//! its tenant does; only when every place is taken is somebody else refused, and the last quarter of the places goes
//! to keys that hold less than an eighth of what is free.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use common::id::{KeyId, TenantId};

use crate::lock::locked;

/// Part of what is free that a key may hold, once most places are taken.
const CROWDED_SHARE: usize = 8;

/// Most reservations that may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// In all.
    pub all: usize,
    /// Of one tenant, with all its keys.
    pub tenant: usize,
    /// Of one key.
    pub key: usize,
}

/// Why one more reservation may not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The key holds its share, or too much of what is left.
    Key(usize),
    /// The tenant holds its share.
    Tenant(usize),
    /// Every place is taken.
    All(usize),
}

/// Every place there is.
pub(super) struct Rooms {
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
pub(super) struct Room {
    rooms: Arc<Rooms>,
    tenant: TenantId,
    key: KeyId,
}

impl Rooms {
    pub(super) fn new(shares: Shares) -> Arc<Self> {
        Arc::new(Self { shares, taken: Mutex::default() })
    }

    pub(super) const fn all(&self) -> usize {
        self.shares.all
    }

    /// Takes a place for a reservation of this key.
    pub(super) fn take(self: &Arc<Self>, tenant: TenantId, key: KeyId) -> Result<Room, NoRoom> {
        let mut taken = locked(&self.taken);
        taken.check(&self.shares, tenant, key)?;
        taken.all += 1;
        *taken.tenants.entry(tenant).or_default() += 1;
        *taken.keys.entry(key).or_default() += 1;
        drop(taken);
        Ok(Room { rooms: Arc::clone(self), tenant, key })
    }
}

impl Taken {
    fn check(&self, shares: &Shares, tenant: TenantId, key: KeyId) -> Result<(), NoRoom> {
        let of_key = self.keys.get(&key).copied().unwrap_or_default();
        let of_tenant = self.tenants.get(&tenant).copied().unwrap_or_default();
        if of_key >= shares.key {
            return Err(NoRoom::Key(of_key));
        }
        if of_tenant >= shares.tenant {
            return Err(NoRoom::Tenant(of_tenant));
        }
        let free = shares.all.saturating_sub(self.all);
        if free == 0 {
            return Err(NoRoom::All(self.all));
        }
        let is_crowded = free <= shares.all / 4;
        if is_crowded && of_key >= free.div_ceil(CROWDED_SHARE) {
            return Err(NoRoom::Key(of_key));
        }
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = locked(&self.rooms.taken);
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
    fn fill(rooms: &Arc<Rooms>, of: TenantId, by: KeyId) -> (Vec<Room>, NoRoom) {
        let mut held = Vec::new();
        loop {
            match rooms.take(of, by) {
                Ok(room) => held.push(room),
                Err(reason) => return (held, reason),
            }
        }
    }

    #[test]
    fn a_key_gets_its_share_and_others_theirs() {
        let rooms = Rooms::new(SHARES);
        let (held, reason) = fill(&rooms, tenant(1), key(1));
        assert_eq!((held.len(), reason), (10, NoRoom::Key(10)));
        let (others, reason) = fill(&rooms, tenant(1), key(2));
        assert_eq!((others.len(), reason), (10, NoRoom::Key(10)));
        drop(held);
        assert_eq!(fill(&rooms, tenant(1), key(1)).0.len(), 10, "what ended gives way");
    }

    #[test]
    fn a_tenant_with_many_keys_gets_its_share() {
        let rooms = Rooms::new(SHARES);
        let held: Vec<_> = (0..20).map(|number| fill(&rooms, tenant(1), key(number))).collect();
        assert_eq!(held.iter().map(|(rooms, _)| rooms.len()).sum::<usize>(), 50);
        assert_eq!(held.last().map(|(_, reason)| *reason), Some(NoRoom::Tenant(50)));
        assert_eq!(fill(&rooms, tenant(2), key(99)).0.len(), 10);
    }

    #[test]
    fn the_last_places_are_for_keys_that_hold_little() {
        let rooms = Rooms::new(Shares { tenant: 100, ..SHARES });
        let mut held: Vec<_> = (0..20).map(|number| fill(&rooms, tenant(number), key(number)).0).collect();
        assert!(held.iter().all(|rooms| !rooms.is_empty()), "each of twenty keys that want all gets something");
        assert!(held.iter().map(Vec::len).sum::<usize>() <= 100);
        held.clear();
        assert!(locked(&rooms.taken).keys.is_empty() && locked(&rooms.taken).tenants.is_empty());
    }

    #[test]
    fn when_every_place_is_taken_that_is_the_reason() {
        let rooms = Rooms::new(Shares { all: 2, tenant: 2, key: 2 });
        let _held = [rooms.take(tenant(1), key(1)), rooms.take(tenant(2), key(2))];
        assert_eq!(rooms.take(tenant(3), key(3)).err(), Some(NoRoom::All(2)));
    }
}
