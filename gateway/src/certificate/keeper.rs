//! The task that keeps the certificates of the configuration in time.
//!
//! Every gateway runs it for every authority. Where several share a storage, the one that gets the
//! lock orders; the others find the certificate there.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    time::{Clock as _, SystemClock},
    tls::ServerCertificate,
};
use instant_acme::CertificateIdentifier;
use sha2::{Digest as _, Sha256};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{
    AuthoritySettings, OrderError, Storage, account,
    metrics::OrderMetrics,
    order,
    renewal::{Failures, Life, Window},
    storage::{self, remove, replace},
};
use crate::lock::locked;

/// Longest time for an order, from its begin to the certificate.
const ORDER_TIMEOUT: Duration = Duration::from_mins(5);

/// Longest pause between two looks at what is stored.
const LOOK_LONGEST: Duration = Duration::from_hours(1);

/// Shortest pause between two looks.
const LOOK_SHORTEST: Duration = Duration::from_secs(1);

/// Pause while another gateway orders.
const OTHER_ORDERS: Duration = Duration::from_secs(2);

/// Bounds of the time for which an authority's suggestion is kept.
const SUGGESTION_KEPT: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(6));

/// Keeps the certificates of all authorities. They are not kept any longer once this is dropped.
pub struct CertificateKeeper {
    running: Mutex<HashMap<Arc<str>, Running>>,
    metrics: OrderMetrics,
}

struct Running {
    settings: Arc<AuthoritySettings>,
    task: JoinHandle<()>,
}

/// The certificates of one authority.
struct Authority {
    settings: Arc<AuthoritySettings>,
    storage: Storage,
    metrics: OrderMetrics,
    /// Suggestions of the authority, by file.
    suggestions: HashMap<PathBuf, Suggestion>,
}

/// A suggestion of the authority for a certificate.
struct Suggestion {
    /// The number of the certificate.
    number: u64,
    window: Option<Window>,
    /// The moment at which it is asked again, in seconds since 1970.
    ask_at: i64,
}

impl Default for CertificateKeeper {
    fn default() -> Self {
        Self { running: Mutex::default(), metrics: OrderMetrics::new() }
    }
}

impl CertificateKeeper {
    /// Keeps what the settings name from now on, on the runtime that this is called on. An authority
    /// whose settings did not change goes on; one whose settings did is asked at once.
    pub fn apply(&self, authorities: &[Arc<AuthoritySettings>]) {
        let mut running = locked(&self.running);
        let ended = running.extract_if(|_, running| !authorities.contains(&running.settings));
        let ended: Vec<Arc<str>> = ended.map(|(name, running)| (running.task.abort(), name).1).collect();
        for name in &ended {
            self.metrics.hide(name);
        }
        for settings in authorities.iter().filter(|settings| !settings.orders.is_empty()) {
            running.entry(Arc::clone(&settings.name)).or_insert_with(|| {
                // What was wrong may have been mended by the edit.
                let is_edited = ended.contains(&settings.name);
                let authority = Authority::new(settings, self.metrics.clone());
                Running { settings: Arc::clone(settings), task: tokio::spawn(authority.keep(is_edited)) }
            });
        }
    }
}

impl Drop for CertificateKeeper {
    fn drop(&mut self) {
        for running in locked(&self.running).values() {
            running.task.abort();
        }
    }
}

impl Authority {
    fn new(settings: &Arc<AuthoritySettings>, metrics: OrderMetrics) -> Self {
        metrics.show(&settings.name);
        let storage = Storage::new(&settings.storage, &settings.directory);
        Self { settings: Arc::clone(settings), storage, metrics, suggestions: HashMap::new() }
    }

    /// Keeps the certificates. `forgives`: earlier failures are forgotten, and orders tried at once.
    async fn keep(mut self, forgives: bool) {
        let settings = Arc::clone(&self.settings);
        for hosts in settings.orders.iter().filter(|_| forgives) {
            // What stays only delays the next order.
            let _ = remove(&self.retry_file(hosts));
        }
        loop {
            let (mut next, mut missing) = (LOOK_LONGEST, 0);
            for hosts in &settings.orders {
                match self.look_after(hosts).await {
                    Ok(pause) => next = next.min(pause),
                    Err(error) => {
                        let authority = &*settings.name;
                        error!(event = "certificate_storage_failed", authority, host = hosts[0], %error);
                        next = next.min(OTHER_ORDERS.saturating_mul(10));
                    }
                }
                missing += usize::from(!self.storage.certificate_file(hosts).exists());
            }
            self.metrics.missing(&settings.name, missing);
            sleep(next.max(LOOK_SHORTEST)).await;
        }
    }

    /// Orders the certificate for the names, if it is time and nobody else does. Returns the time
    /// until the next look.
    async fn look_after(&mut self, hosts: &[String]) -> io::Result<Duration> {
        self.storage.create()?;
        if let Some(pause) = self.wait(hosts).await? {
            return Ok(pause);
        }
        let Some(lock) = self.storage.lock()? else { return Ok(OTHER_ORDERS) };
        // Another gateway may have ordered, or failed, until the storage was ours.
        if let Some(pause) = self.wait(hosts).await? {
            return Ok(pause);
        }
        let ordered = timeout(ORDER_TIMEOUT, self.order(hosts)).await;
        let ordered = ordered.unwrap_or_else(|_| Err(OrderError::Late(ORDER_TIMEOUT.as_secs())));
        let pause = self.note(hosts, ordered)?;
        drop(lock);
        Ok(pause)
    }

    /// The time until the certificate is due, or may be ordered again after a failure. None if it is
    /// to be ordered now.
    async fn wait(&mut self, hosts: &[String]) -> io::Result<Option<Duration>> {
        if let Some(certificate) = self.stored(hosts) {
            let life = life(&certificate);
            let due = life.due(self.suggestion(hosts, &certificate, life.number).await);
            if let Some(pause) = until(due) {
                return Ok(Some(pause));
            }
        }
        Ok(until(self.failures(hosts)?.retry_at))
    }

    async fn order(&self, hosts: &[String]) -> Result<ServerCertificate, OrderError> {
        let in_force = self.stored(hosts);
        let replaces =
            in_force.as_ref().and_then(|certificate| CertificateIdentifier::try_from(certificate.leaf()).ok());
        // Without an account, the certificate is not this authority's.
        let replaces = replaces.filter(|_| matches!(self.storage.account(), Ok(Some(_))));
        order::order(&self.settings, &self.storage, hosts, replaces).await
    }

    /// Tells the outcome of an order. Returns the time until the next look.
    fn note(&self, hosts: &[String], ordered: Result<ServerCertificate, OrderError>) -> io::Result<Duration> {
        let (authority, host) = (&*self.settings.name, &*hosts[0]);
        self.metrics.ordered(authority, ordered.is_ok());
        match ordered {
            Ok(certificate) => {
                remove(&self.retry_file(hosts))?;
                info!(event = "certificate_issued", authority, host, not_after = certificate.not_after);
                Ok(LOOK_SHORTEST)
            }
            Err(error) => {
                let failures = self.failures(hosts)?.and(error.is_refusal(), now());
                let pause = until(failures.retry_at).unwrap_or(LOOK_SHORTEST);
                let consequence = match self.stored(hosts) {
                    Some(_) => "the certificate in force stays",
                    None => "handshakes for its names are refused",
                };
                let (retry_in_seconds, failures_so_far) = (pause.as_secs(), failures.count);
                warn!(
                    event = "certificate_order_failed",
                    authority, host, %error, consequence, retry_in_seconds, failures_so_far
                );
                replace(&self.retry_file(hosts), &serde_json::to_vec(&failures)?)?;
                Ok(pause)
            }
        }
    }

    /// The certificate in the storage, if it can be used.
    fn stored(&self, hosts: &[String]) -> Option<ServerCertificate> {
        let file = self.storage.certificate_file(hosts);
        if !file.exists() {
            return None;
        }
        let loaded = order::load(&file);
        loaded.map_err(|error| warn!(event = "stored_certificate_unusable", %error)).ok()
    }

    /// The window in which the authority suggests to renew, if it has such an opinion. It is asked
    /// when its last answer is over.
    async fn suggestion(&mut self, hosts: &[String], certificate: &ServerCertificate, number: u64) -> Option<Window> {
        let file = self.storage.certificate_file(hosts);
        let known = self.suggestions.get(&file).filter(|known| known.number == number && known.ask_at > now());
        if let Some(known) = known {
            return known.window;
        }
        let (window, kept) = match self.ask(certificate).await {
            Ok(Some((window, kept))) => (Some(window), kept.clamp(SUGGESTION_KEPT.0, SUGGESTION_KEPT.1)),
            // An authority without suggestions, or one that cannot be asked.
            Ok(None) => (None, SUGGESTION_KEPT.1),
            Err(_) => (None, SUGGESTION_KEPT.0),
        };
        let ask_at = now().saturating_add(i64::try_from(kept.as_secs()).unwrap_or(i64::MAX));
        self.suggestions.insert(file, Suggestion { number, window, ask_at });
        window
    }

    async fn ask(&self, certificate: &ServerCertificate) -> Result<Option<(Window, Duration)>, OrderError> {
        let Some(account) = account::find(&self.settings, &self.storage).await? else { return Ok(None) };
        let Ok(id) = CertificateIdentifier::try_from(certificate.leaf()) else { return Ok(None) };
        match account.renewal_info(&id).await {
            Ok((info, kept)) => {
                let (start, end) = (info.suggested_window.start, info.suggested_window.end);
                Ok(Some((Window { start: start.unix_timestamp(), end: end.unix_timestamp() }, kept)))
            }
            Err(instant_acme::Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn failures(&self, hosts: &[String]) -> io::Result<Failures> {
        match fs::read(self.retry_file(hosts)) {
            // A file that says nothing keeps nobody from an order.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Failures::default()),
            Err(error) => Err(error),
        }
    }

    fn retry_file(&self, hosts: &[String]) -> PathBuf {
        self.storage.certificate_file(hosts).with_extension(storage::RETRY)
    }
}

fn life(certificate: &ServerCertificate) -> Life {
    let digest = Sha256::digest(certificate.leaf());
    let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    Life { not_before: certificate.not_before, not_after: certificate.not_after, number }
}

/// The time until a moment, in seconds since 1970; none if it has come.
fn until(moment: i64) -> Option<Duration> {
    let seconds = u64::try_from(moment - now()).ok().filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds).min(LOOK_LONGEST))
}

fn now() -> i64 {
    SystemClock.now().seconds()
}
