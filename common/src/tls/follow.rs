//! Reads the files of a listener's TLS again when they change.
//!
//! They are looked at once a second, through symbolic links, and read where the file system tells of
//! a change. That also sees files that are replaced by renaming, and mounted secrets that swing a
//! symbolic link. Files that cannot be used change nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::{
    ServerTls, TlsFault, metrics,
    pem::{self, Stamp},
};
use crate::time::{Clock as _, SystemClock};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the files of `in_force`, and hands every content on that can be used. Runs until it is
/// dropped. `listener` is named in logs.
pub async fn follow(listener: String, in_force: ServerTls, replace: impl Fn(&ServerTls) + Send + Sync) {
    warn_of_expired(&listener, &in_force);
    let (mut seen, mut stamp) = (in_force.digest(), None);
    let mut in_force = Arc::new(in_force);
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let current = Arc::clone(&in_force);
        // Looking at files blocks.
        let looked = tokio::task::spawn_blocking(move || look(&current, stamp, seen)).await;
        let Ok(Some(Seen { stamp: found, digest, outcome })) = looked else { continue };
        (seen, stamp) = (digest, Some(found));
        let Some(outcome) = outcome else { continue };
        match outcome {
            Ok(loaded) => {
                replace(&loaded);
                metrics::reloaded(true);
                info!(event = "certificates_replaced", listener, certificates = loaded.certificates.len());
                warn_of_expired(&listener, &loaded);
                seen = loaded.digest();
                in_force = Arc::new(loaded);
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

/// The finding of a look at files.
struct Seen {
    stamp: Stamp,
    digest: u64,
    /// The outcome of reading another content; none if it is the same.
    outcome: Option<Result<ServerTls, Vec<TlsFault>>>,
}

/// Looks at the files of `current`. Nothing if they are surely as they were at `stamp`; `seen`
/// stands for the content that was read last.
fn look(current: &ServerTls, stamp: Option<Stamp>, seen: u64) -> Option<Seen> {
    let found = Stamp::of(current.settings.files(), SystemClock.now().seconds());
    if stamp.is_some_and(|before| found.is_as(&before)) {
        return None;
    }
    let digest = pem::digest(current.settings.files());
    Some(Seen { stamp: found, digest, outcome: (digest != seen).then(|| current.reload()) })
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
