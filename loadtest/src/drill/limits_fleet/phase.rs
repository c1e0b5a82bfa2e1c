//! Admissions against a limit in one phase of the drill.

use serde::Serialize;

use super::fault::Fault;

/// Admissions against a limit during one fault, or without one.
#[derive(Debug, Clone, Serialize)]
pub struct LimitPhase {
    /// The fault of Redis, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redis: Option<Fault>,
    /// Requests that were sent.
    pub(super) offered: u64,
    /// Requests that were admitted.
    pub(super) admitted: u64,
    /// Requests that burst and rate allow in the time of the phase.
    pub(super) allowed: f64,
    /// Part of that which was admitted.
    #[serde(rename = "use")]
    pub(super) used: f64,
    /// Requests admitted above `burst + rate x window`, in the worst of all windows.
    pub(super) overshoot: f64,
    /// Requests that the fault allows on top.
    pub(super) on_top: f64,
    /// Requests admitted above that too.
    pub(super) excess: f64,
    /// Calls to Redis that failed without a fault: the machine was too busy.
    pub(super) failed_calls: u64,
    /// Requests that waited for a Redis that was known to be away.
    pub(super) waited: u64,
    /// 99th percentile of the latency of requests that were due during the fault; of all, if there
    /// was none.
    pub(super) p99_ms: f64,
    /// The longest of them.
    pub(super) max_ms: f64,
    /// Requests without an answer, or with another one than 200 or 429.
    pub(super) unanswered: u64,
}
