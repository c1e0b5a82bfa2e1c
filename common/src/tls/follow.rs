//! Reads the files of a listener's TLS again when they change.
//!
//! The content is compared once a second. That also sees files that are replaced by renaming, and
//! mounted secrets that swing a symbolic link. Files that cannot be used change nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::{ServerTls, metrics, pem};
use crate::time::{Clock as _, SystemClock};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the files of `in_force`, and hands every content on that can be used. Runs until it is
/// dropped. `listener` is named in logs.
pub async fn follow(listener: String, mut in_force: ServerTls, replace: impl Fn(&ServerTls) + Send + Sync) {
    warn_of_expired(&listener, &in_force);
    let mut seen = in_force.digest();
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let current = in_force.clone();
        // Reading files blocks.
        let read = tokio::task::spawn_blocking(move || {
            let digest = pem::digest(current.settings.files());
            (digest != seen).then(|| (digest, current.reload()))
        });
        let Ok(Some((digest, outcome))) = read.await else { continue };
        seen = digest;
        match outcome {
            Ok(loaded) => {
                replace(&loaded);
                metrics::reloaded(true);
                info!(event = "certificates_replaced", listener, certificates = loaded.certificates.len());
                warn_of_expired(&listener, &loaded);
                seen = loaded.digest();
                in_force = loaded;
            }
            Err(faults) => {
                metrics::reloaded(false);
                for fault in faults {
                    let consequence = "the certificates in force stay";
                    error!(event = "certificates_refused", listener, reason = %fault, consequence);
                }
            }
        }
    }
}

fn warn_of_expired(listener: &str, tls: &ServerTls) {
    let now = SystemClock.now().seconds();
    for certificate in tls.certificates.iter().filter(|certificate| certificate.has_expired(now)) {
        warn!(event = "certificate_expired", listener, certificate = %certificate.files.certificate.display());
    }
}

/// Runs [`follow`] for as long as this is kept.
pub struct Following(tokio::task::JoinHandle<()>);

impl Following {
    /// Follows the files on the runtime that this is called on.
    pub fn start(
        listener: String,
        in_force: ServerTls,
        replace: impl Fn(&ServerTls) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self(tokio::spawn(follow(listener, in_force, replace))))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}
