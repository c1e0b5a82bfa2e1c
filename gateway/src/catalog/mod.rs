//! All tenants, plans and keys in memory, following the store's change log.

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    plan::PlanId,
};

/// What the gateway knows of all tenants and keys.
pub struct Catalog {
    _private: (),
}

/// A key as the request path needs it.
pub struct KeyEntry {
    pub id: KeyId,
    pub mode: Mode,
}

/// A tenant as the request path needs it.
pub struct TenantEntry {
    pub id: TenantId,
    pub plan: PlanId,
}

impl Catalog {
    /// Whether the catalog was loaded once.
    pub fn is_loaded(&self) -> bool {
        todo!()
    }
}
