//! Keys, tenants and plans as the request path needs them: everything resolved, nothing to compute.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwap;
use common::{
    id::{KeyId, TenantId},
    key::{IpNet, KeyHash, Mode},
    plan::{PlanId, Quota},
    store::ServedKey,
    time::Micros,
};

use crate::limit::{QuotaLease, RateCells, Rates};

/// Microseconds in a minute.
pub(super) const MICROS_PER_MINUTE: i64 = 60 * Micros::PER_SECOND;

/// A key as the request path needs it.
pub struct KeyEntry {
    /// Its public identifier.
    pub id: KeyId,
    /// Whose usage it is.
    pub tenant: TenantId,
    /// Whether its usage is billed.
    pub mode: Mode,
    pub(crate) expires_at: Option<Micros>,
    pub(crate) revoked: bool,
    pub(crate) cells: Arc<RateCells>,
    slot: Arc<TenantSlot>,
    /// Most keys have none.
    restrictions: Option<Box<Restrictions>>,
    /// The minute since 1970 in which it was last accepted here; 0 if it was not.
    used_minute: AtomicU32,
}

/// What narrows the use of a key.
struct Restrictions {
    /// What it may be used for; empty: every route.
    scopes: Box<[String]>,
    /// Where it may be used from; empty: from anywhere.
    allowed_ips: Box<[IpNet]>,
}

/// A tenant as the request path needs it: it has a plan, and neither it nor one above it is suspended.
pub struct TenantEntry {
    /// Its identifier.
    pub id: TenantId,
    pub(crate) terms: Arc<PlanTerms>,
    pub(crate) cells: Arc<RateCells>,
    /// The pools that it draws on: its own, and those of the tenants above it.
    pub(crate) pools: Box<[Arc<Pool>]>,
    pub(crate) quotas: Box<[Arc<QuotaLease>]>,
}

/// What a tenant and everybody below it may use together.
pub(crate) struct Pool {
    /// The tenant whose plan grants it.
    pub(crate) owner: TenantId,
    pub(crate) terms: Arc<PlanTerms>,
    pub(crate) cells: Arc<RateCells>,
}

/// Whether a tenant is served.
#[derive(Clone)]
pub enum Standing {
    /// It is.
    Served(Arc<TenantEntry>),
    /// It or one above it is suspended.
    Suspended,
    /// No subscription is in force, neither its own nor one of those above it.
    NoPlan,
    /// It is no more.
    Deleted,
}

/// How one tenant stands now. Its keys hold it, so that a request finds it with the key.
pub(super) struct TenantSlot(ArcSwap<Standing>);

/// What holds for a tenant by its plan and the plans above it, once for all to whom the same applies.
pub(crate) struct PlanTerms {
    /// The plan in force.
    pub(crate) plan: PlanId,
    pub(crate) key_rates: Rates,
    pub(crate) tenant_rates: Rates,
    /// Of the tenant whose own plan it is.
    pub(crate) pool_rates: Rates,
    /// The hard ones; soft ones are billing's.
    pub(crate) quotas: Vec<Quota>,
    /// Meters that are paid for in advance.
    pub(crate) prepaid: Vec<String>,
}

impl KeyEntry {
    pub(super) fn new(key: &ServedKey, slot: Arc<TenantSlot>, cells: Arc<RateCells>) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant,
            mode: key.mode,
            expires_at: key.expires_at,
            revoked: key.revoked,
            cells,
            slot,
            restrictions: Restrictions::of(key),
            used_minute: AtomicU32::new(0),
        }
    }

    /// Whether it may be used for what asks for `scope`.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        let scopes = self.restrictions.as_ref().map_or(&[][..], |restrictions| &restrictions.scopes);
        scopes.is_empty() || scopes.iter().any(|known| known == scope)
    }

    /// Whether it may be used from there; one that may not be used from everywhere, not from an unknown place.
    pub(crate) fn admits_from(&self, address: Option<IpAddr>) -> bool {
        let allowed = self.restrictions.as_ref().map_or(&[][..], |restrictions| &restrictions.allowed_ips);
        let canonical = address.map(|address| address.to_canonical());
        allowed.is_empty() || canonical.is_some_and(|address| allowed.iter().any(|range| range.contains(&address)))
    }

    /// Notes that it is accepted at `now`. Nearly always it was already in this minute, and nothing is written.
    pub(crate) fn touch(&self, now: Micros) {
        let minute = u32::try_from(now.0 / MICROS_PER_MINUTE).unwrap_or(0);
        if self.used_minute.load(Ordering::Relaxed) != minute {
            self.used_minute.store(minute, Ordering::Relaxed);
        }
    }

    /// The minute in which it was last accepted here; 0 if it was not.
    pub(super) fn used_minute(&self) -> u32 {
        self.used_minute.load(Ordering::Relaxed)
    }

    /// Takes over what this gateway knows of the same key before it changed.
    pub(super) fn succeeding(self, before: &Self) -> Self {
        Self { used_minute: AtomicU32::new(before.used_minute()), ..self }
    }

    /// The row that it was made from.
    pub(super) fn row(&self, hash: KeyHash) -> ServedKey {
        let (scopes, allowed_ips) = self.restrictions.as_ref().map_or_else(Default::default, |restrictions| {
            (restrictions.scopes.to_vec(), restrictions.allowed_ips.to_vec())
        });
        ServedKey {
            id: self.id,
            tenant: self.tenant,
            mode: self.mode,
            hash,
            expires_at: self.expires_at,
            revoked: self.revoked,
            scopes,
            allowed_ips,
        }
    }

    /// How its tenant stands.
    pub(crate) fn standing(&self) -> Standing {
        self.slot.standing()
    }
}

impl Restrictions {
    fn of(key: &ServedKey) -> Option<Box<Self>> {
        let narrowed = !(key.scopes.is_empty() && key.allowed_ips.is_empty());
        let restrictions =
            || Self { scopes: key.scopes.as_slice().into(), allowed_ips: key.allowed_ips.as_slice().into() };
        narrowed.then(|| Box::new(restrictions()))
    }
}

impl TenantEntry {
    /// The plan in force: its own, or one that it inherits.
    pub fn plan(&self) -> &PlanId {
        &self.terms.plan
    }
}

impl TenantSlot {
    pub(super) fn standing(&self) -> Standing {
        Standing::clone(&self.0.load())
    }

    pub(super) fn set(&self, standing: Standing) {
        self.0.store(Arc::new(standing));
    }
}

impl Default for TenantSlot {
    /// One that is not known has no plan.
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Standing::NoPlan))
    }
}
