//! Routing: host, path, method, headers and query of a request lead to its route.
//!
//! Priority, which no order in the file changes:
//!
//! 1. An exact host goes before a domain's wildcard, a longer wildcard before a shorter one, and
//!    both before routes for any host.
//! 2. Under one host the path decides, segment by segment: a literal goes before a parameter, and
//!    both before a pattern that serves everything below. The longer goes before the shorter.
//! 3. Under one pattern, more conditions on headers and query go before fewer: see
//!    [`Conditions::by_specificity`].
//!
//! A pattern none of whose routes has its conditions met is passed over for the next, under the
//! next host if need be. The method is asked last: a request that meets all but the method is a
//! 405, never a way to a more general route.
//!
//! Invariant: no spelling of a path leads past the route that the upstream may take it for. See
//! [`Spelling`] for what is refused, and `loose` for how a path is recognised.

mod conditions;
mod figures;
mod lifecycle;
mod loose;
mod overlap;
mod path;
mod pattern;
mod retries;
mod settings;
mod spelling;
mod table;
mod tree;

use std::{fmt, ops::Deref};

use common::limit::Rate;
pub use conditions::{Conditions, Headers, Wanted};
pub(crate) use figures::Figures;
pub(crate) use lifecycle::{ABORT_BYTES, UPGRADE_IDLE_SECONDS};
pub use lifecycle::{Bill, Lifecycle, OnAbort, Patience, Side, Upgrade, UpgradeCount, UpgradeUnits};
pub(crate) use overlap::Overlaps;
pub use path::{DecodedPath, PathError, decode_path};
pub use pattern::{Billable, HostPattern};
pub use retries::{Retries, RetryOn};
pub use settings::{Bodies, HeaderLimits, Public, RouteSettings, Target, Timeouts, UNITS_MAX, Units};
pub use spelling::{Spelling, Spellings};
pub use table::{RequestView, RouteError, Table, without_port};

pub use crate::pattern::{Filling, PathPattern, PatternError, Segment, Shape, Template, TemplateError};
use crate::{
    filter::by_address,
    limit::{Destination, Limiter, RouteLimits},
};

/// A route in force: its settings, and the limits that were built from them when they went live.
pub struct Route {
    settings: RouteSettings,
    /// Limits that all callers share, if there are any.
    pub(crate) limits: Option<RouteLimits>,
    /// The rate of each address on a public route, if it is limited.
    pub(crate) per_address: Option<Rate>,
    /// The metrics that its requests count in.
    pub(crate) figures: Figures,
}

impl Route {
    /// A route in force. Its buckets are those that the limiter keeps under its name: no reload
    /// refills them.
    pub fn new(settings: RouteSettings, limiter: &Limiter) -> Self {
        let limits = limiter.route_limits(&settings.name, &settings.limits);
        let per_minute = settings.public.as_ref().and_then(|public| public.per_minute);
        let per_address = per_minute.map(by_address::per_minute);
        Self { limits, per_address, figures: Figures::default(), settings }
    }
}

impl Deref for Route {
    type Target = RouteSettings;

    fn deref(&self) -> &RouteSettings {
        &self.settings
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(formatter)
    }
}

impl<'a> From<&'a Route> for Destination<'a> {
    fn from(route: &'a Route) -> Self {
        Self { meter: &route.meter, route: route.limits.as_ref() }
    }
}

#[cfg(test)]
mod tests;
