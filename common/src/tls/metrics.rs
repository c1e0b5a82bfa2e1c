//! Metrics of certificates: when those in force expire, and what became of changed files.
//!
//! Expiry times are read from the certificates in force whenever somebody asks: one that is gone
//! leaves no series behind.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use prometheus::{
    IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::ServerCertificate;

/// The certificates that some listener may have in force.
static KNOWN: Mutex<Vec<Weak<Vec<ServerCertificate>>>> = Mutex::new(Vec::new());

/// Shows the expiry times of these certificates for as long as somebody holds them.
pub(super) fn show(certificates: &Arc<Vec<ServerCertificate>>) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|known| known.strong_count() > 0);
    known.push(Arc::downgrade(certificates));
}

/// Counts a change of certificate files.
pub(super) fn reloaded(successful: bool) {
    reloads().with_label_values(&[if successful { "applied" } else { "refused" }]).inc();
}

/// Shows the metrics in a registry.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(Expiries { desc: family()?.desc().into_iter().cloned().collect() }))?;
    for outcome in ["applied", "refused"] {
        reloads().with_label_values(&[outcome]);
    }
    registry.register(Box::new(reloads().clone()))
}

#[expect(clippy::expect_used, reason = "name and label are constants of this file, exercised by every start")]
fn reloads() -> &'static IntCounterVec {
    static RELOADS: OnceLock<IntCounterVec> = OnceLock::new();
    RELOADS.get_or_init(|| {
        let help = "Changes of certificate files of listeners by outcome: applied or refused";
        let options = Opts::new("tollgate_certificate_reloads_total", help);
        IntCounterVec::new(options, &["outcome"]).expect("metric is well-formed")
    })
}

fn family() -> prometheus::Result<IntGaugeVec> {
    let help = "Time at which the validity of a listener's certificate ends, in seconds since 1970";
    IntGaugeVec::new(Opts::new("tollgate_certificate_expiry_timestamp_seconds", help), &["certificate"])
}

/// Expiry times of the certificates in force.
struct Expiries {
    desc: Vec<Desc>,
}

impl Collector for Expiries {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(family) = family() else { return Vec::new() };
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        for certificates in known.iter().filter_map(Weak::upgrade) {
            for certificate in certificates.iter() {
                let file = certificate.files.certificate.display().to_string();
                family.with_label_values(&[&file]).set(certificate.not_after);
            }
        }
        family.collect()
    }
}
