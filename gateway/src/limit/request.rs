//! One request, as the limiter looks at it.

use std::sync::Arc;

use common::{id::KeyId, time::Micros};

use super::{
    cells::RateCells,
    owners::{RouteLimits, TenantLimits},
    quota::QuotaAccount,
};

/// A request before its limits: who sends it, where it goes, and how many units it asks for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(crate) key: KeyId,
    pub(crate) key_cells: &'a RateCells,
    pub(crate) tenant: &'a TenantLimits,
    /// Quotas that the tenant's requests draw on, of whichever meter.
    pub(crate) quotas: &'a [Arc<QuotaAccount>],
    pub(crate) to: Destination<'a>,
    pub(crate) units: u64,
    pub(crate) now: Micros,
}

/// The meter that a request counts on, and the limits of the route that it takes.
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    pub(crate) meter: &'a str,
    pub(crate) route: Option<&'a RouteLimits>,
}

impl<'a> From<&'a str> for Destination<'a> {
    /// A meter, where no route is taken.
    fn from(meter: &'a str) -> Self {
        Self { meter, route: None }
    }
}
