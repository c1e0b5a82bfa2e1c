//! The settings of a route, as they stand in the configuration: plain numbers, names and patterns.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use common::plan::{REQUESTS_METER, RateLimits};
use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    conditions::Conditions,
    lifecycle::Lifecycle,
    pattern::{Billable, HostPattern},
    retries::Retries,
    spelling::Spellings,
};
use crate::{
    auth::CredentialPlaces,
    filter::{
        addresses::Addresses, cors::Cors, header_edits::HeaderEdits, reply::Reply, rewrite::Rewrite, split::Split,
    },
    pattern::PathPattern,
};

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
    /// The target of its requests.
    pub target: Target,
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
    /// Time for each part of a request, if the route says so.
    pub timeouts: Option<Timeouts>,
    /// Largest request body, if other than the general limit.
    pub body_bytes: Option<u64>,
    /// Largest headers, if it says so.
    pub header_limits: Option<HeaderLimits>,
    /// The life of its requests: the end without a client, the time of the record, and upgrades.
    pub lifecycle: Lifecycle,
    /// The scope that keys with scopes must have.
    pub scope: Option<Box<str>>,
    /// Spellings of a path that it serves, though servers read them differently.
    pub spellings: Spellings,
    /// Rates of all callers together.
    pub limits: RateLimits,
    /// True if a client certificate that stands for a key is a credential here.
    pub client_certificates: bool,
    /// Settings of a public route; none if the route asks for a key.
    pub public: Option<Public>,
    /// The CORS policy, if it has one.
    pub(crate) cors: Option<Arc<Cors>>,
    /// Retries of its requests, if it says how; otherwise only failed connections are tried again.
    pub retries: Option<Retries>,
    /// The places of its credentials, if it names its own.
    pub credentials: Option<CredentialPlaces>,
    /// Addresses that may use it, if not all may.
    pub(crate) addresses: Option<Addresses>,
    /// Rewriting of requests for the upstream.
    pub(crate) rewrite: Option<Rewrite>,
    /// Edits of the headers of requests.
    pub(crate) request_headers: Option<HeaderEdits>,
    /// Edits of the headers of answers.
    pub(crate) response_headers: Option<HeaderEdits>,
}

/// The target of the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// They go to the upstream of this name.
    Upstream(Arc<str>),
    /// Upstreams share them.
    Split(Arc<Split>),
    /// The route answers them by itself.
    Reply(Arc<Reply>),
}

/// Time for each part of a request, beside the longest silence of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// Until a server has accepted the connection, TLS included.
    pub connect: Option<Duration>,
    /// From the end of the request until the answer's header.
    pub first_byte: Option<Duration>,
    /// Between two parts of the answer.
    pub between_bytes: Option<Duration>,
    /// From the request's header until the end of the answer.
    pub total: Option<Duration>,
}

/// Largest headers of the requests of a route. The general limits hold before a route is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeaderLimits {
    /// Number of header lines.
    pub count: Option<usize>,
    /// All names and values together, in bytes.
    pub bytes: Option<usize>,
    /// One value, in bytes.
    pub value_bytes: Option<usize>,
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
    /// By the bytes of its body, of the request's, or of both.
    Bytes {
        /// The bodies that are counted.
        bodies: Bodies,
        /// One unit stands for as many bytes, rounded up for each body.
        per: NonZeroU64,
    },
}

/// Bodies of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bodies {
    /// The body of the request.
    Request,
    /// The body of the answer.
    Response,
    /// Both.
    Both,
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
            Self::Bytes { .. } => 1,
        }
    }

    /// Units that are set aside for a request whose body has as many bytes, as far as its header
    /// tells.
    pub const fn estimate_for(&self, request_bytes: u64) -> u64 {
        match self {
            Self::Bytes { bodies, per } if bodies.include_request() && request_bytes > 0 => {
                request_bytes.div_ceil(per.get())
            }
            _ => self.estimate(),
        }
    }
}

impl Bodies {
    /// Returns true if the body of the request is counted.
    pub(crate) const fn include_request(self) -> bool {
        matches!(self, Self::Request | Self::Both)
    }

    /// Returns true if the body of the answer is counted.
    pub(crate) const fn include_response(self) -> bool {
        matches!(self, Self::Response | Self::Both)
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
            target: Target::Upstream("".into()),
            meter: REQUESTS_METER.into(),
            units: Units::Fixed(1),
            billable: Billable::default(),
            strip_prefix: false,
            timeout: None,
            timeouts: None,
            body_bytes: None,
            header_limits: None,
            lifecycle: Lifecycle::default(),
            scope: None,
            spellings: Spellings::default(),
            limits: RateLimits::default(),
            client_certificates: false,
            public: None,
            cors: None,
            retries: None,
            addresses: None,
            rewrite: None,
            request_headers: None,
            response_headers: None,
            credentials: None,
        }
    }

    /// The route's own answer, if it asks no upstream.
    pub(crate) const fn reply(&self) -> Option<&Arc<Reply>> {
        match &self.target {
            Target::Reply(reply) => Some(reply),
            Target::Upstream(_) | Target::Split(_) => None,
        }
    }

    /// Returns true if the usage of its requests is recorded, where they have a caller.
    pub(crate) fn is_metered(&self) -> bool {
        self.reply().is_none_or(|reply| reply.metered)
    }

    /// Returns true if a connection may be upgraded to this protocol, whose name is in lower case.
    pub(crate) fn allows_upgrade(&self, protocol: &str) -> bool {
        self.lifecycle.upgrade.protocols.iter().any(|allowed| **allowed == *protocol)
    }
}
