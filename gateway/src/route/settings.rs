//! The settings of a route, as they stand in the configuration: plain numbers, names and patterns.

use std::{sync::Arc, time::Duration};

use common::plan::{REQUESTS_METER, RateLimits};
use http::{HeaderName, Method};

use super::{
    conditions::Conditions,
    lifecycle::Lifecycle,
    path_pattern::PathPattern,
    pattern::{Billable, HostPattern},
    retries::Retries,
    spelling::Spellings,
};
use crate::filter::cors::Cors;

/// Most units that one answer may report; anything beyond is taken for a mistake of the upstream.
pub const UNITS_MAX: u64 = 1_000_000_000;

/// The requests that a route serves, where they go, and what they cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSettings {
    /// Its name in usage, logs and metrics.
    pub name: Arc<str>,
    /// Hosts that it serves; every host if empty.
    pub hosts: Vec<HostPattern>,
    /// Paths that it serves.
    pub path: PathPattern,
    /// Methods that it serves; every method if empty.
    pub methods: Vec<Method>,
    /// Conditions on headers and query.
    pub conditions: Conditions,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The meter that its requests count on.
    pub meter: Arc<str>,
    /// Units that one answer uses.
    pub units: Units,
    /// Answers that are billed.
    pub billable: Billable,
    /// True if the upstream sees the path without the prefix.
    pub strip_prefix: bool,
    /// Longest silence of the upstream, if other than the upstream's own setting.
    pub timeout: Option<Duration>,
    /// Largest request body, if other than the general limit.
    pub body_bytes: Option<u64>,
    /// The life of its requests: the end without a client, the time of the record, and upgrades.
    pub lifecycle: Lifecycle,
    /// The scope that keys with scopes must have.
    pub scope: Option<Box<str>>,
    /// Spellings of a path that it serves, though servers read them differently.
    pub spellings: Spellings,
    /// Rates of all callers together.
    pub limits: RateLimits,
    /// Settings of a public route; none if the route asks for a key.
    pub public: Option<Public>,
    /// The CORS policy, if it has one.
    pub(crate) cors: Option<Arc<Cors>>,
    /// Retries of its requests, if it says how; otherwise only failed connections are tried again.
    pub retries: Option<Retries>,
}

/// Units that an answer uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Units {
    /// Always as many.
    Fixed(u64),
    /// As many as the upstream says.
    Header {
        /// The response header that says it; removed before the client sees the answer.
        name: HeaderName,
        /// Units that count if the header is missing or not usable.
        default: u64,
    },
}

/// A route that needs no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// Requests a minute that one address may send, if that is limited.
    pub per_minute: Option<u32>,
}

impl Units {
    /// Units that are set aside before the answer is known.
    pub const fn estimate(&self) -> u64 {
        match self {
            Self::Fixed(units) | Self::Header { default: units, .. } => *units,
        }
    }
}

impl RouteSettings {
    /// A route of this name for every request: one unit each of the meter `requests`, and no
    /// limits.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            hosts: Vec::new(),
            path: PathPattern::below("/"),
            methods: Vec::new(),
            conditions: Conditions::default(),
            upstream: "".into(),
            meter: REQUESTS_METER.into(),
            units: Units::Fixed(1),
            billable: Billable::default(),
            strip_prefix: false,
            timeout: None,
            body_bytes: None,
            lifecycle: Lifecycle::default(),
            scope: None,
            spellings: Spellings::default(),
            limits: RateLimits::default(),
            public: None,
            cors: None,
            retries: None,
        }
    }

    /// Returns true if a connection may be upgraded to this protocol, whose name is in lower case.
    pub(crate) fn allows_upgrade(&self, protocol: &str) -> bool {
        self.lifecycle.upgrade.protocols.iter().any(|allowed| **allowed == *protocol)
    }
}
