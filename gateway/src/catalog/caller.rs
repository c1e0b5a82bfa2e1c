//! An authenticated key with its tenant.

use std::sync::Arc;

use common::{key::Mode, time::Micros};

use super::entry::{KeyEntry, TenantEntry};
use crate::limit::{Destination, Request};

/// An authenticated key with its tenant.
#[derive(Clone)]
pub struct Caller {
    /// The key.
    pub key: Arc<KeyEntry>,
    /// The tenant that the key belongs to.
    pub tenant: Arc<TenantEntry>,
}

impl Caller {
    /// A request of this caller for `units` at `to`, as the limiter looks at it.
    pub fn request<'a>(&'a self, to: impl Into<Destination<'a>>, units: u64, now: Micros) -> Request<'a> {
        let Self { key, tenant } = self;
        // Test keys are metered and never billed: they leave quotas alone.
        let quotas = match key.mode {
            Mode::Live => &tenant.quotas[..],
            Mode::Test => &[],
        };
        Request { key: key.id, key_cells: &key.cells, tenant: &tenant.limits, quotas, to: to.into(), units, now }
    }
}
