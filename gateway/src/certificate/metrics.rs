//! Metrics of orders: how many came to what, and how many certificates are missing.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::metrics;

/// Counts orders, and certificates that listeners have to do without.
#[derive(Clone)]
pub(super) struct OrderMetrics {
    orders: IntCounterVec,
    missing: IntGaugeVec,
}

impl OrderMetrics {
    pub(super) fn new() -> Self {
        Self {
            orders: metrics::counters(
                "tollgate_acme_orders_total",
                "Orders of certificates from an authority (ACME) by outcome: issued or failed",
                &["authority", "outcome"],
            ),
            missing: metrics::gauges(
                "tollgate_acme_certificates_missing",
                "Certificates that no authority has issued yet: handshakes for their names are refused",
                &["authority"],
            ),
        }
    }

    /// Shows an authority from now on.
    pub(super) fn show(&self, authority: &str) {
        for outcome in ["issued", "failed"] {
            self.orders.with_label_values(&[authority, outcome]);
        }
    }

    /// Shows an authority no longer as one whose certificates are missing.
    pub(super) fn hide(&self, authority: &str) {
        let _ = self.missing.remove_label_values(&[authority]);
    }

    pub(super) fn ordered(&self, authority: &str, is_issued: bool) {
        self.orders.with_label_values(&[authority, if is_issued { "issued" } else { "failed" }]).inc();
    }

    pub(super) fn missing(&self, authority: &str, count: usize) {
        self.missing.with_label_values(&[authority]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
