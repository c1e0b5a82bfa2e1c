//! Rate limits per second, minute, hour and day, each a token bucket with a burst; and the limit of
//! concurrent requests.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Highest rate per second that a limit may state; beyond it, a limit means nothing.
const RATE_MAX_PER_SECOND: u64 = 10_000_000;

/// Most requests under way that a limit may state.
const CONCURRENT_MAX: u64 = 1_000_000;

const TO_REFUSE_ALL: &str = "to refuse everything, suspend the tenant or remove the route";

/// The limits of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimits {
    /// Shared by all keys of the tenant.
    #[serde(default)]
    pub tenant: RateLimits,
    /// For each key by itself.
    #[serde(default)]
    pub key: RateLimits,
    /// Shared by the tenant and everybody below it: what a reseller and its customers may use
    /// together.
    #[serde(default, skip_serializing_if = "RateLimits::is_empty")]
    pub pool: RateLimits,
    /// Mode in which the pool is divided among tenants below.
    #[serde(default, skip_serializing_if = "PoolMode::is_shared")]
    pub pool_mode: PoolMode,
}

/// Division of a pool among the tenants below: `shared` is first come, first served; `partitioned`
/// promises no more than there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PoolMode {
    /// First come, first served: those below may be promised more than there is.
    #[default]
    Shared,
    /// The sum of the promises to tenants right below may not exceed the pool.
    Partitioned,
}

/// At most one limit per window, and one on requests under way; a missing one does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<RateLimit>,
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<RateLimit>,
    /// Requests per hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<RateLimit>,
    /// Requests per day (86,400 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<RateLimit>,
    /// Requests under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u64>,
}

/// A token bucket: over every stretch of time W, at most `burst + limit x W / window` requests are
/// admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct RateLimit {
    /// Requests per window, refilled evenly.
    pub limit: u64,
    /// Requests that may come at once after a pause; as many as `limit` unless stated.
    pub burst: u64,
}

/// The length over which a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateWindow {
    /// 1 s.
    Second,
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// 86,400 s.
    Day,
}

/// A limit that is zero or absurdly large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{limit}: {reason}")]
pub struct LimitError {
    /// `per_second`, `per_minute`, `per_hour`, `per_day` or `concurrent`.
    pub limit: &'static str,
    /// Reason for the refusal.
    pub reason: String,
}

impl PlanLimits {
    /// Returns the faults of the limits, each with its scope.
    pub(super) fn faults(&self) -> Vec<(&'static str, LimitError)> {
        let scopes = [("tenant", &self.tenant), ("key", &self.key), ("pool", &self.pool)];
        scopes.into_iter().flat_map(|(scope, limits)| limits.faults().map(move |error| (scope, error))).collect()
    }
}

impl PoolMode {
    /// Returns true if more may be promised than there is.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared)
    }
}

impl RateLimits {
    /// The rates that are set, shortest window first.
    pub fn iter(&self) -> impl Iterator<Item = (RateWindow, RateLimit)> {
        [
            (RateWindow::Second, self.per_second),
            (RateWindow::Minute, self.per_minute),
            (RateWindow::Hour, self.per_hour),
            (RateWindow::Day, self.per_day),
        ]
        .into_iter()
        .filter_map(|(window, limit)| limit.map(|limit| (window, limit)))
    }

    /// Returns true if nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks what numbers alone cannot hold; tells the first fault.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.faults().next().map_or(Ok(()), Err)
    }

    fn faults(&self) -> impl Iterator<Item = LimitError> {
        let rates = self.iter().filter_map(|(window, rate)| {
            let most = RATE_MAX_PER_SECOND * window.seconds();
            let reason = if rate.limit == 0 || rate.burst == 0 {
                format!("limit and burst must be at least 1; {TO_REFUSE_ALL}")
            } else if rate.limit > most || rate.burst > most {
                format!("limit and burst may be at most {most}")
            } else {
                return None;
            };
            Some(LimitError { limit: window.as_str(), reason })
        });
        let concurrent = match self.concurrent {
            Some(0) => Some(format!("must be at least 1; {TO_REFUSE_ALL}")),
            Some(concurrent) if concurrent > CONCURRENT_MAX => Some(format!("may be at most {CONCURRENT_MAX}")),
            _ => None,
        };
        rates.chain(concurrent.map(|reason| LimitError { limit: "concurrent", reason }))
    }
}

impl RateWindow {
    /// Length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Returns the name of a limit over this window in files: `per_second`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "per_second",
            Self::Minute => "per_minute",
            Self::Hour => "per_hour",
            Self::Day => "per_day",
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for RateLimit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RateLimit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "object"],
            "minimum": 1,
            "required": ["limit"],
            "properties": {
                "limit": { "type": "integer", "minimum": 1, "description": "Requests within the window." },
                "burst": { "type": "integer", "minimum": 1, "description": "Requests at once; as many unless set." }
            },
            "additionalProperties": false
        })
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    /// Either a number, `per_second: 50`, or `per_second: { limit: 50, burst: 100 }`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LimitVisitor;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stated {
            limit: u64,
            burst: Option<u64>,
        }

        impl<'de> serde::de::Visitor<'de> for LimitVisitor {
            type Value = RateLimit;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number of requests, or `{ limit: .., burst: .. }`")
            }

            fn visit_u64<E>(self, limit: u64) -> Result<RateLimit, E> {
                Ok(RateLimit { limit, burst: limit })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<RateLimit, A::Error> {
                let stated = Stated::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(RateLimit { limit: stated.limit, burst: stated.burst.unwrap_or(stated.limit) })
            }
        }

        deserializer.deserialize_any(LimitVisitor)
    }
}
