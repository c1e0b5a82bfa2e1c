//! Metrics of the bank.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{SHARDS, error::BankError};
use crate::metrics;

/// Buckets for a round trip, in seconds: from a server on the same machine to the longest time-out
/// that makes sense.
const ROUND_TRIP_BUCKETS: [f64; 10] = [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25];

/// The metrics of a gateway's bank.
pub(super) struct BankMetrics {
    /// Calls that were answered.
    pub(super) trips: IntCounter,
    /// Calls and connections that failed, by kind.
    pub(super) errors: IntCounterVec,
    pub(super) granted: IntCounter,
    pub(super) round_trip: Histogram,
    /// 1 while the bank is away, by shard.
    pub(super) away: IntGaugeVec,
    pub(super) gateways: IntGauge,
    /// Losses of data, by shard.
    pub(super) losses: IntCounterVec,
    /// 1 while limits refill from empty after a loss of data that could not be restored, by shard.
    pub(super) refilling: IntGaugeVec,
    /// Requests that waited for a call.
    pub(super) waits: IntCounter,
}

impl BankMetrics {
    pub(super) fn new() -> Self {
        let trips = metrics::counters("tollgate_bank_trips_total", "Calls to the token bank that were answered.", &[]);
        let granted = metrics::counters("tollgate_bank_tokens_granted_total", "Tokens drawn from the bank.", &[]);
        let round_trip = metrics::histograms(
            "tollgate_bank_round_trip_seconds",
            "Time from a call to the token bank to its answer.",
            &[],
            &ROUND_TRIP_BUCKETS,
        );
        let waits =
            metrics::counters("tollgate_bank_waits_total", "Requests that waited for a call to the token bank.", &[]);
        let none: &[&str] = &[];
        let new = Self {
            trips: trips.with_label_values(none),
            errors: metrics::counters("tollgate_bank_errors_total", "Calls to the token bank that failed.", &["kind"]),
            granted: granted.with_label_values(none),
            round_trip: round_trip.with_label_values(none),
            away: metrics::gauges("tollgate_bank_away", "Whether a shard of the token bank is away.", &["shard"]),
            gateways: metrics::gauge("tollgate_bank_gateways", "Gateways that the token bank heard from lately."),
            losses: metrics::counters(
                "tollgate_bank_data_losses_total",
                "Losses of data of the token bank that this gateway noticed.",
                &["shard"],
            ),
            refilling: metrics::gauges(
                "tollgate_bank_refilling",
                "Whether limits of a shard refill from empty, after a loss of data that could not be made good.",
                &["shard"],
            ),
            waits: waits.with_label_values(none),
        };
        for kind in BankError::KINDS {
            new.errors.with_label_values(&[kind]);
        }
        for shard in 0..SHARDS {
            let shard = shard.to_string();
            new.away.with_label_values(&[&shard]).set(1);
            new.losses.with_label_values(&[&shard]);
            new.refilling.with_label_values(&[&shard]).set(0);
        }
        new
    }
}
