//! Servers whose requests fail are left out for a time, and come back by themselves.
//!
//! Health checks ask a server a question of their own; this looks at what becomes of real requests.
//!
//! Invariants: never more than `most_percent` of an upstream's servers are ejected at the same time;
//! an ejection outlives changes of the configuration, and ends at its time whatever happens; a
//! request that is served takes no lock here.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tracing::{info, warn};

use super::{Upstream, server::Server, window::now_ms};
use crate::{config::EjectionSettings, lock::locked};

/// The condition of one address of a server, as its requests have shown it. It outlives changes of
/// the configuration.
#[derive(Default)]
pub(super) struct Condition {
    /// Requests in progress, where the upstream balances by them.
    in_flight: AtomicU32,
    /// Failed requests in a row.
    failures: AtomicU32,
    /// End of the ejection, in milliseconds of [`now_ms`]; 0 if it is not ejected.
    ejected_until: AtomicU64,
    last: Mutex<Last>,
}

/// The last ejection of a server.
#[derive(Debug, Clone, Default)]
struct Last {
    /// Ejections of which each came soon after the one before.
    in_a_row: u32,
    ended_ms: u64,
    length_ms: u64,
    reason: String,
}

/// A request in progress on a server.
pub(crate) struct Load(Arc<Server>);

impl Condition {
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn is_ejected(&self, now_ms: u64) -> bool {
        self.ejected_until.load(Ordering::Acquire) > now_ms
    }

    /// The reason for which it is ejected, if it is.
    pub(super) fn ejected_for(&self, now_ms: u64) -> Option<String> {
        self.is_ejected(now_ms).then(|| {
            let last = locked(&self.last);
            format!("ejected for {} s after failed requests: {}", last.length_ms.div_ceil(1_000), last.reason)
        })
    }

    fn succeed(&self) {
        // Nearly always zero: reading it costs other threads nothing.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a failure. Returns true if these are too many in a row.
    fn fail(&self, settings: &EjectionSettings) -> bool {
        settings.failures > 0 && self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= settings.failures
    }

    /// Ejects it. The time doubles if the last ejection ended less than its own length ago.
    fn eject(&self, settings: &EjectionSettings, reason: String, now_ms: u64) -> u64 {
        let mut last = locked(&self.last);
        let is_soon = last.in_a_row > 0 && now_ms < last.ended_ms.saturating_add(last.length_ms);
        let in_a_row = if is_soon { last.in_a_row + 1 } else { 1 };
        let length = settings.base.saturating_mul(1 << (in_a_row - 1).min(16)).min(settings.most);
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let ended_ms = now_ms.saturating_add(length_ms);
        *last = Last { in_a_row, ended_ms, length_ms, reason };
        self.ejected_until.store(ended_ms, Ordering::Release);
        length_ms
    }

    /// Ends the ejection if its time is over. The next failure ejects it again.
    fn come_back(&self, settings: &EjectionSettings, now_ms: u64) -> bool {
        let until = self.ejected_until.load(Ordering::Acquire);
        let is_over = until != 0 && until <= now_ms;
        let is_first =
            is_over && self.ejected_until.compare_exchange(until, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if is_first {
            self.failures.store(settings.failures.saturating_sub(1), Ordering::Relaxed);
        }
        is_first
    }

    /// Ends the ejection at once.
    pub(super) fn pardon(&self) {
        self.ejected_until.store(0, Ordering::Release);
        self.failures.store(0, Ordering::Relaxed);
    }
}

impl Load {
    pub(super) fn on(server: &Arc<Server>) -> Self {
        server.condition().in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(server))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.condition().in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// A server has answered a request with this status.
    pub(crate) fn note_answer(&self, server: &Arc<Server>, status: u16) {
        if self.settings().ejection.statuses.covers(status) {
            self.note_failure(server, || format!("the server answered {status}"));
        } else {
            server.condition().succeed();
        }
    }

    /// A request to a server has failed. Ejects the server if these are too many in a row, and if
    /// not too many others are ejected.
    pub(crate) fn note_failure(&self, server: &Arc<Server>, reason: impl FnOnce() -> String) {
        let settings = &self.settings().ejection;
        if !server.condition().fail(settings) {
            return;
        }
        let now_ms = now_ms();
        // Asked without the lock first: an upstream that is down as a whole fails many requests.
        if !self.can_eject(server, now_ms) && self.pool().is_current(now_ms) {
            return;
        }
        let length_ms = self.change_servers(|_| {
            let is_possible = self.can_eject(server, now_ms);
            let length_ms = is_possible.then(|| server.condition().eject(settings, reason(), now_ms));
            (length_ms.is_some() || !self.pool().is_current(now_ms), length_ms)
        });
        let Some(length_ms) = length_ms else { return };
        self.shared().ejections.fetch_add(1, Ordering::Relaxed);
        self.wake_returns.notify_one();
        let (upstream, address, failures) = (&*self.settings().name, server.address, settings.failures);
        let reason = locked(&server.condition().last).reason.clone();
        warn!(event = "server_ejected", upstream, server = %server.configured, %address, for_ms = length_ms, failures, reason);
    }

    /// Returns true if the server is one of the upstream's, and neither it nor too many others are
    /// ejected.
    fn can_eject(&self, server: &Server, now_ms: u64) -> bool {
        let pool = self.pool();
        let ejected = pool.servers.iter().filter(|server| server.condition().is_ejected(now_ms)).count();
        let most = pool.servers.len() * self.settings().ejection.most_percent as usize / 100;
        let is_known = pool.servers.iter().any(|other| other.id() == server.id());
        ejected < most && is_known && !server.condition().is_ejected(now_ms)
    }

    /// Takes back the servers whose ejection is over. Returns the time until the next is.
    fn take_back(&self) -> Option<Duration> {
        let (pool, now_ms) = (self.pool(), now_ms());
        for server in &pool.servers {
            if server.condition().come_back(&self.settings().ejection, now_ms) {
                let (upstream, address) = (&*self.settings().name, server.address);
                info!(event = "server_returned", upstream, server = %server.configured, %address);
            }
        }
        if !pool.is_current(now_ms) {
            self.change_servers(|_| (true, ()));
        }
        let until = pool.servers.iter().map(|server| server.condition().ejected_until.load(Ordering::Acquire));
        let next = until.filter(|until| *until > now_ms).min()?;
        Some(Duration::from_millis(next - now_ms))
    }
}

/// Takes ejected servers back for as long as the upstream is in use.
pub(super) async fn keep_taking_back(upstream: Weak<Upstream>, wake: Arc<Notify>) {
    while let Some(current) = upstream.upgrade() {
        let next = current.take_back();
        drop(current);
        tokio::select! {
            () = sleep(next.unwrap_or(Duration::from_hours(1))) => {}
            () = wake.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Statuses;

    const SETTINGS: fn() -> EjectionSettings = || EjectionSettings {
        failures: 3,
        base: Duration::from_secs(10),
        most: Duration::from_mins(1),
        most_percent: 50,
        statuses: Statuses::default(),
    };

    #[test]
    fn failures_count_only_in_a_row() {
        let (condition, settings) = (Condition::default(), SETTINGS());
        let fails = |times: usize| (0..times).map(|_| condition.fail(&settings)).collect::<Vec<_>>();
        assert_eq!(fails(2), [false, false]);
        condition.succeed();
        assert_eq!(fails(3), [false, false, true]);
        let off = EjectionSettings { failures: 0, ..settings };
        assert!(!condition.fail(&off));
    }

    #[test]
    fn ejection_doubles_up_to_its_longest_time_if_it_comes_soon_after_the_last() {
        let (condition, settings) = (Condition::default(), SETTINGS());
        let mut now_ms = 1_000;
        for expected in [10_000, 20_000, 40_000, 60_000, 60_000] {
            assert_eq!(condition.eject(&settings, String::new(), now_ms), expected);
            assert!(condition.is_ejected(now_ms + expected - 1) && !condition.is_ejected(now_ms + expected));
            now_ms += expected + 100;
        }
        // It has served for as long as it was away.
        assert_eq!(condition.eject(&settings, String::new(), now_ms + 60_000), 10_000);
    }

    #[test]
    fn server_that_came_back_is_ejected_at_its_next_failure_unless_it_serves_first() {
        let (condition, settings) = (Condition::default(), SETTINGS());
        condition.eject(&settings, "refused".into(), 1_000);
        assert!(condition.ejected_for(1_000).unwrap().contains("ejected for 10 s after failed requests: refused"));
        assert!(!condition.come_back(&settings, 10_999) && condition.come_back(&settings, 11_000));
        assert!(!condition.come_back(&settings, 11_000), "only once");
        assert!(condition.fail(&settings));
        condition.succeed();
        assert!(!condition.fail(&settings));
    }
}
