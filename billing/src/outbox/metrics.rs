//! Metrics of the outbox: how much waits and for how long, and what came of tries.

use common::{outbox::OutboxDepth, time::Micros};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// Counters and gauges of the outbox.
#[derive(Clone)]
pub struct OutboxMetrics {
    tries: IntCounterVec,
    pending: IntGaugeVec,
    age_seconds: IntGaugeVec,
}

impl OutboxMetrics {
    /// Metrics that `registry` collects, with a row for each of these kinds.
    pub fn register(registry: &Registry, kinds: &[&str]) -> Result<Self, prometheus::Error> {
        let tries = IntCounterVec::new(
            Opts::new("tollgate_outbox_tries_total", "Tries to send messages by kind and outcome"),
            &["kind", "outcome"],
        )?;
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["kind"]);
        let pending = gauge("tollgate_outbox_pending", "Messages that wait to be sent, by kind")?;
        let age_seconds = gauge("tollgate_outbox_age_seconds", "Age of the oldest message that waits, by kind")?;
        registry.register(Box::new(tries.clone()))?;
        registry.register(Box::new(pending.clone()))?;
        registry.register(Box::new(age_seconds.clone()))?;
        for kind in kinds {
            for outcome in ["delivered", "later", "given_up", "lost"] {
                tries.with_label_values(&[*kind, outcome]).inc_by(0);
            }
        }
        for kind in kinds.iter().chain(&["event"]) {
            pending.with_label_values(&[*kind]).set(0);
            age_seconds.with_label_values(&[*kind]).set(0);
        }
        Ok(Self { tries, pending, age_seconds })
    }

    pub(super) fn tried(&self, kind: &str, outcome: &str) {
        self.tries.with_label_values(&[kind, outcome]).inc();
    }

    pub(super) fn show(&self, depths: &[OutboxDepth], now: Micros) {
        // A kind of which nothing waits any more is not among them.
        self.pending.reset();
        self.age_seconds.reset();
        for depth in depths {
            let age = depth.oldest.map_or(0, |oldest| now.seconds().saturating_sub(oldest.seconds()).max(0));
            let pending = i64::try_from(depth.pending).unwrap_or(i64::MAX);
            self.pending.with_label_values(&[depth.kind.as_str()]).set(pending);
            self.age_seconds.with_label_values(&[depth.kind.as_str()]).set(age);
        }
    }
}
