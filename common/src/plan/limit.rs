//! How fast usage may come: per second, minute and day, each a token bucket with a burst.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::PlanError;

/// Highest rate per second that a limit may state; beyond it, a limit means nothing.
const RATE_MAX_PER_SECOND: u64 = 10_000_000;

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
}

/// At most one limit per window; a missing one does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<RateLimit>,
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<RateLimit>,
    /// Requests per day (86,400 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<RateLimit>,
}

/// A token bucket: over every stretch of time W, at most `burst + limit x W / window` requests are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// 86,400 s.
    Day,
}

impl PlanLimits {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        self.tenant.validate("tenant")?;
        self.key.validate("key")
    }
}

impl RateLimits {
    /// The limits that are set, shortest window first.
    pub fn iter(&self) -> impl Iterator<Item = (RateWindow, RateLimit)> {
        [(RateWindow::Second, self.per_second), (RateWindow::Minute, self.per_minute), (RateWindow::Day, self.per_day)]
            .into_iter()
            .filter_map(|(window, limit)| limit.map(|limit| (window, limit)))
    }

    fn validate(&self, scope: &'static str) -> Result<(), PlanError> {
        for (window, rate) in self.iter() {
            let most = RATE_MAX_PER_SECOND * window.seconds();
            let refuse = |reason: String| Err(PlanError::Limit { scope, window, reason });
            if rate.limit == 0 || rate.burst == 0 {
                return refuse("limit and burst must be at least 1; suspend the tenant to refuse everything".into());
            }
            if rate.limit > most || rate.burst > most {
                return refuse(format!("limit and burst may be at most {most}"));
            }
        }
        Ok(())
    }
}

impl RateWindow {
    /// Length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Day => 86_400,
        }
    }
}

impl fmt::Display for RateWindow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Second => "per_second",
            Self::Minute => "per_minute",
            Self::Day => "per_day",
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
