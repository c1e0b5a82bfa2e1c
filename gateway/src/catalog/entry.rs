//! Keys, tenants and plans as the request path needs them: everything resolved, nothing to compute.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use common::{
    change::ServedKey,
    dunning::Unpaid,
    id::{KeyId, TenantId},
    key::{IpNet, KeyHash, KeyStatus, Mode},
    plan::{PlanId, effective::SubtreeCap},
    time::Micros,
};

use crate::limit::{PlanRates, QuotaAccount, RateCells, TenantLimits};

/// Expiry of a key that never expires.
const NEVER: i64 = i64::MAX;

/// End of a refusal that never was.
const LONG_AGO: i64 = i64::MIN;

/// A key as the request path needs it. It stays the same entry for as long as the key is served,
/// and what changes of the key changes in it: so the cells of its limits lie in it too, and a
/// request finds all with one look-up.
pub struct KeyEntry {
    /// Its public identifier.
    pub id: KeyId,
    /// The tenant that pays for its usage.
    pub tenant: TenantId,
    /// Live keys are billed, test keys are not.
    pub mode: Mode,
    pub(crate) cells: RateCells,
    /// [`NEVER`] if it does not.
    expires_at: AtomicI64,
    revoked: AtomicBool,
    /// [`LONG_AGO`] if no budget refuses it.
    spent_until: AtomicI64,
    slot: Arc<TenantSlot>,
    /// Most keys have none.
    restrictions: ArcSwapOption<Restrictions>,
    /// The minute since 1970 in which it was last accepted here; 0 if it was not.
    used_minute: AtomicU32,
}

/// Restrictions on the use of a key.
struct Restrictions {
    /// Scopes of the routes that it may call; empty: every route.
    scopes: Box<[String]>,
    /// Networks that it may be used from; empty: anywhere.
    allowed_ips: Box<[IpNet]>,
}

/// A tenant as the request path needs it: it has a plan, and neither it nor one above it is
/// suspended.
pub struct TenantEntry {
    /// Its identifier.
    pub id: TenantId,
    pub(crate) terms: Arc<PlanTerms>,
    /// Its rates and its pools, with the cells that they are spent from.
    pub(crate) limits: TenantLimits,
    /// Every hard quota that its requests draw on, its own first, then those of the tenants above
    /// it; then its credit.
    pub(crate) quotas: Box<[Arc<QuotaAccount>]>,
    /// Before this instant its live keys are refused, as a budget of it or of one above it is spent.
    pub(crate) spent_until: Option<Micros>,
}

/// A tenant's right to be served.
#[derive(Clone)]
pub enum Standing {
    /// The tenant is served by these terms.
    Served(Arc<TenantEntry>),
    /// It or one above it is suspended.
    Suspended,
    /// An invoice of it or of one above it is not paid.
    Unpaid(Arc<Unpaid>),
    /// No subscription is in force, neither its own nor one of those above it.
    NoPlan,
    /// It was deleted.
    Deleted,
}

/// The current standing of one tenant. Its keys hold the slot, so that a request finds it with the
/// key.
pub(super) struct TenantSlot(ArcSwap<Standing>);

/// The terms of a tenant by its plan and the plans above it. All tenants with the same plans share
/// them.
pub(crate) struct PlanTerms {
    /// The plan in force.
    pub(crate) plan: PlanId,
    pub(crate) rates: Arc<PlanRates>,
    /// Hard quotas, by place on the way up; soft ones are billing's. Whose they are is not known
    /// here.
    pub(crate) caps: Vec<SubtreeCap>,
    /// Meters that are paid for in advance.
    pub(crate) prepaid: Vec<String>,
}

impl KeyEntry {
    pub(super) fn new(key: &ServedKey, slot: Arc<TenantSlot>) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant,
            mode: key.mode,
            cells: RateCells::default(),
            expires_at: AtomicI64::new(key.expires_at.map_or(NEVER, |at| at.0)),
            revoked: AtomicBool::new(key.revoked),
            spent_until: AtomicI64::new(key.spent_until.map_or(LONG_AGO, |until| until.0)),
            slot,
            restrictions: ArcSwapOption::new(Restrictions::of(key)),
            used_minute: AtomicU32::new(0),
        }
    }

    /// Takes over what changed of its key; false if this is another key than its own.
    pub(super) fn update(&self, key: &ServedKey, slot: &Arc<TenantSlot>) -> bool {
        let is_own = (self.id, self.tenant, self.mode) == (key.id, key.tenant, key.mode);
        if !is_own || !Arc::ptr_eq(&self.slot, slot) {
            return false;
        }
        self.expires_at.store(key.expires_at.map_or(NEVER, |at| at.0), Ordering::Release);
        self.revoked.store(key.revoked, Ordering::Release);
        self.spent_until.store(key.spent_until.map_or(LONG_AGO, |until| until.0), Ordering::Release);
        self.restrictions.store(Restrictions::of(key));
        true
    }

    /// Ends this entry, which the catalog holds no more: whoever still does, as an upgraded
    /// connection, finds the key revoked.
    pub(super) fn retire(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// Returns the status of the key itself at `now`.
    pub(crate) fn status(&self, now: Micros) -> KeyStatus {
        if self.revoked.load(Ordering::Acquire) {
            return KeyStatus::Revoked;
        }
        if self.expires_at.load(Ordering::Acquire) <= now.0 { KeyStatus::Expired } else { KeyStatus::Active }
    }

    /// Returns true if it may be used for what asks for `scope`.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        let restrictions = self.restrictions.load();
        let scopes = restrictions.as_ref().map_or(&[][..], |restrictions| &restrictions.scopes);
        scopes.is_empty() || scopes.iter().any(|known| known == scope)
    }

    /// Returns true if it may be used from there; one that may not be used from everywhere, not
    /// from an unknown place.
    pub(crate) fn admits_from(&self, address: Option<IpAddr>) -> bool {
        let restrictions = self.restrictions.load();
        let allowed = restrictions.as_ref().map_or(&[][..], |restrictions| &restrictions.allowed_ips);
        let canonical = address.map(|address| address.to_canonical());
        allowed.is_empty() || canonical.is_some_and(|address| allowed.iter().any(|range| range.contains(&address)))
    }

    /// Notes that it is accepted at `now`. Nearly always it was already in this minute, and nothing
    /// is written.
    pub(crate) fn touch(&self, now: Micros) {
        let minute = minute(now);
        if self.used_minute.load(Ordering::Relaxed) != minute {
            self.used_minute.store(minute, Ordering::Relaxed);
        }
    }

    /// The minute in which it was last accepted here; 0 if it was not.
    pub(super) fn used_minute(&self) -> u32 {
        self.used_minute.load(Ordering::Relaxed)
    }

    /// The row that it was made from.
    pub(super) fn row(&self, hash: KeyHash) -> ServedKey {
        let restrictions = self.restrictions.load();
        let (scopes, allowed_ips) = restrictions.as_ref().map_or_else(Default::default, |restrictions| {
            (restrictions.scopes.to_vec(), restrictions.allowed_ips.to_vec())
        });
        ServedKey {
            id: self.id,
            tenant: self.tenant,
            mode: self.mode,
            hash,
            expires_at: Some(self.expires_at.load(Ordering::Acquire)).filter(|at| *at != NEVER).map(Micros),
            revoked: self.revoked.load(Ordering::Acquire),
            scopes,
            allowed_ips,
            spent_until: Some(self.spent_until.load(Ordering::Acquire)).filter(|at| *at != LONG_AGO).map(Micros),
        }
    }

    /// The end of the refusal, if a budget of the key, of its tenant or of one above is spent at `now`.
    /// Test keys cost nothing.
    pub(crate) fn spent_until(&self, tenant: &TenantEntry, now: Micros) -> Option<Micros> {
        let own = Micros(self.spent_until.load(Ordering::Acquire));
        let until = tenant.spent_until.map_or(own, |until| until.max(own));
        (self.mode == Mode::Live && now < until).then_some(until)
    }

    /// Returns the standing of its tenant.
    pub(crate) fn standing(&self) -> Standing {
        self.slot.standing()
    }
}

impl Restrictions {
    fn of(key: &ServedKey) -> Option<Arc<Self>> {
        let narrowed = !(key.scopes.is_empty() && key.allowed_ips.is_empty());
        let restrictions =
            || Self { scopes: key.scopes.as_slice().into(), allowed_ips: key.allowed_ips.as_slice().into() };
        narrowed.then(|| Arc::new(restrictions()))
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

/// The minute since 1970 that `now` lies in.
pub(super) fn minute(now: Micros) -> u32 {
    u32::try_from(now.0 / Micros::PER_MINUTE).unwrap_or(0)
}
