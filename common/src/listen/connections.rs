//! The open connections of a listener: counted in all and by address, with those that wait for a
//! request known.
//!
//! Invariant: a connection is counted from its admission until its [`Connection`] is dropped. Where
//! a limit is reached, a connection that waits for a request gives way to the new one; one whose
//! request is being answered never does. So who holds connections open without asking anything
//! keeps nobody out.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use prometheus::IntGauge;
use tokio::time::sleep;

use super::metrics::{Close, ListenerMetrics, Refusal};
use crate::origin;

/// Addresses among which the one with the most connections is chosen.
const ADDRESSES_LOOKED_AT: usize = 64;

/// Addresses that are looked at if none of those has a connection that waits.
const ADDRESSES_LOOKED_AT_MOST: usize = 4_096;

/// Connections of one address that are looked at to find the one that has waited longest.
const CONNECTIONS_LOOKED_AT: usize = 1_024;

/// Number of times that a new connection looks for room while others are about to close.
const ATTEMPTS: u32 = 200;

const ATTEMPT_PAUSE: Duration = Duration::from_millis(5);

/// The reason why there is no room at the moment.
#[derive(Debug)]
enum NoRoom {
    /// Others are about to go.
    Soon,
    Refused(Refusal),
}

/// Limits on the number of open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub most: usize,
    /// Of one address: an IPv4 address, or an IPv6 /64.
    pub most_per_address: usize,
}

/// The open connections of one listener.
pub struct Connections {
    state: Mutex<State>,
    closing: AtomicBool,
    /// New connections that are not admitted yet.
    hopeful: AtomicUsize,
    epoch: Instant,
    metrics: ListenerMetrics,
}

/// A connection that is counted; no longer once this is dropped.
pub struct Connection {
    all: Arc<Connections>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct State {
    count: usize,
    /// Connections that were told to give way and are still there.
    leaving: usize,
    by_address: HashMap<IpAddr, Vec<Arc<Shared>>>,
    /// Index at which the next search begins.
    cursor: usize,
}

/// State of a connection, shared by its owner and by those who look for one to close.
struct Shared {
    address: IpAddr,
    /// Index among the connections of its address; written under the lock.
    index: AtomicUsize,
    /// Milliseconds since the epoch at which it began to wait for a request, plus one; 0 while it
    /// does not wait.
    waits_since: AtomicU64,
    /// True once it has received a request.
    has_asked: AtomicBool,
    leaves: AtomicBool,
    waker: AtomicWaker,
}

/// A new connection that waits for others to go, counted among all that do.
struct Hopes<'a> {
    all: &'a AtomicUsize,
    attempts: u32,
}

impl<'a> Hopes<'a> {
    fn new(all: &'a AtomicUsize) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self { all, attempts: 0 }
    }

    /// Waits a moment; false if that was often enough, or if too many do.
    async fn wait(&mut self, limits: ConnectionLimits) -> bool {
        self.attempts += 1;
        if self.attempts > ATTEMPTS || self.all.load(Ordering::Relaxed) > (limits.most / 4).max(1) {
            return false;
        }
        sleep(ATTEMPT_PAUSE).await;
        true
    }
}

impl Drop for Hopes<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// No connections of the listener that these metrics are of.
    pub fn new(metrics: ListenerMetrics) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            closing: false.into(),
            hopeful: 0.into(),
            epoch: Instant::now(),
            metrics,
        })
    }

    /// Counts a new connection, or says why there is no room for it. Where others have been told to
    /// make room, their going is waited for.
    pub async fn admit(self: &Arc<Self>, address: IpAddr, limits: ConnectionLimits) -> Result<Connection, Refusal> {
        let address = origin::subscriber(address);
        let mut hopes = Hopes::new(&self.hopeful);
        let refusal = loop {
            match self.try_admit(address, limits) {
                Ok(connection) => return Ok(connection),
                Err(NoRoom::Soon) if hopes.wait(limits).await => {}
                Err(NoRoom::Soon) => break Refusal::Full,
                Err(NoRoom::Refused(refusal)) => break refusal,
            }
        };
        self.metrics.refused(refusal);
        Err(refusal)
    }

    fn try_admit(self: &Arc<Self>, address: IpAddr, limits: ConnectionLimits) -> Result<Connection, NoRoom> {
        let mut state = self.lock();
        if state.by_address.get(&address).map_or(0, Vec::len) >= limits.most_per_address {
            self.displace(&mut state, Some(address), limits, Refusal::Address)?;
        } else if state.count >= limits.most {
            self.displace(&mut state, None, limits, Refusal::Full)?;
        }
        let group = state.by_address.entry(address).or_default();
        let shared = Arc::new(Shared {
            address,
            index: group.len().into(),
            waits_since: self.stamp().into(),
            has_asked: false.into(),
            leaves: false.into(),
            waker: AtomicWaker::new(),
        });
        group.push(Arc::clone(&shared));
        state.count += 1;
        self.metrics.open.inc();
        Ok(Connection { all: Arc::clone(self), shared })
    }

    /// Returns the gauge of open connections.
    pub fn gauge(&self) -> &IntGauge {
        &self.metrics.open
    }

    /// Returns the metrics of the listener.
    pub const fn metrics(&self) -> &ListenerMetrics {
        &self.metrics
    }

    /// Closes the connections that wait for a request, from now on.
    pub fn close_waiting(&self) {
        self.closing.store(true, Ordering::Release);
        for shared in self.lock().by_address.values().flatten() {
            shared.waker.wake();
        }
    }

    /// Tells a connection that waits to go: one of `address`, or of an address with many
    /// connections.
    fn displace(
        &self,
        state: &mut State,
        address: Option<IpAddr>,
        limits: ConnectionLimits,
        refusal: Refusal,
    ) -> Result<(), NoRoom> {
        // Those that were told are gone within moments; until then, half as many more may come as
        // there may be.
        if state.leaving >= (limits.most / 2).max(1) {
            return Err(NoRoom::Soon);
        }
        state.cursor = state.cursor.wrapping_add(CONNECTIONS_LOOKED_AT);
        let cursor = state.cursor;
        let victim = match address {
            Some(address) => state.by_address.get(&address).and_then(|group| longest_waiting(group, cursor)),
            None => of_many(&state.by_address, cursor),
        };
        let victim = victim.ok_or(NoRoom::Refused(refusal))?;
        victim.leaves.store(true, Ordering::Release);
        victim.waker.wake();
        state.leaving += 1;
        self.metrics.closed(Close::Displaced);
        Ok(())
    }

    fn stamp(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that may go, of an address that has more than others, if some are looked at.
fn of_many(by_address: &HashMap<IpAddr, Vec<Arc<Shared>>>, cursor: usize) -> Option<&Arc<Shared>> {
    let mut groups: Vec<_> = by_address.values().take(ADDRESSES_LOOKED_AT).collect();
    groups.sort_unstable_by_key(|group| Reverse(group.len()));
    let others = by_address.values().skip(ADDRESSES_LOOKED_AT).take(ADDRESSES_LOOKED_AT_MOST);
    groups.into_iter().chain(others).find_map(|group| longest_waiting(group, cursor))
}

/// The connection that may go first: rather one that never asked anything, and of those the one
/// that has waited longest.
fn longest_waiting(group: &[Arc<Shared>], cursor: usize) -> Option<&Arc<Shared>> {
    let start = if group.len() > CONNECTIONS_LOOKED_AT { cursor % group.len() } else { 0 };
    let waiting = group.iter().cycle().skip(start).take(group.len().min(CONNECTIONS_LOOKED_AT));
    let waiting = waiting
        .filter(|shared| shared.waits_since.load(Ordering::Relaxed) != 0 && !shared.leaves.load(Ordering::Relaxed));
    waiting.min_by_key(|shared| (shared.has_asked.load(Ordering::Relaxed), shared.waits_since.load(Ordering::Relaxed)))
}

impl Connection {
    /// It waits for a request from now on and may be told to give way.
    pub fn waits(&self) {
        self.shared.waits_since.store(self.all.stamp(), Ordering::Relaxed);
    }

    /// It has a request to answer.
    pub fn asked(&self) {
        self.shared.waits_since.store(0, Ordering::Relaxed);
        self.shared.has_asked.store(true, Ordering::Relaxed);
    }

    /// Ready once the connection has to go, if it waits for a request.
    pub fn poll_leave(&self, context: &mut Context<'_>) -> Poll<()> {
        let told = || self.shared.leaves.load(Ordering::Acquire) || self.all.closing.load(Ordering::Acquire);
        if told() {
            return Poll::Ready(());
        }
        self.shared.waker.register(context.waker());
        if told() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns the metrics of the listener.
    pub fn metrics(&self) -> &ListenerMetrics {
        &self.all.metrics
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        state.count -= 1;
        if self.shared.leaves.load(Ordering::Relaxed) {
            state.leaving -= 1;
        }
        if let Some(group) = state.by_address.get_mut(&self.shared.address) {
            let index = self.shared.index.load(Ordering::Relaxed);
            group.swap_remove(index);
            if let Some(moved) = group.get(index) {
                moved.index.store(index, Ordering::Relaxed);
            }
            if group.is_empty() {
                state.by_address.remove(&self.shared.address);
            }
        }
        drop(state);
        self.all.metrics.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits { most: 4, most_per_address: 2 };

    fn connections() -> Arc<Connections> {
        Connections::new(ListenerMetrics::new("test", IntGauge::new("open", "Open connections").unwrap()))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, last])
    }

    fn is_told(connection: &Connection) -> bool {
        connection.poll_leave(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn full_listener_refuses_only_while_all_connections_are_busy() {
        let all = connections();
        let busy: Vec<_> = [1, 1, 2, 2].map(|last| all.try_admit(address(last), LIMITS).unwrap()).into();
        busy.iter().for_each(Connection::asked);
        assert!(matches!(all.try_admit(address(3), LIMITS), Err(NoRoom::Refused(Refusal::Full))));
        busy[2].waits();
        assert!(all.try_admit(address(3), LIMITS).is_ok());
        assert!(is_told(&busy[2]) && !is_told(&busy[0]));
    }

    #[test]
    fn address_at_limit_displaces_only_its_own_connections() {
        let all = connections();
        let other = all.try_admit(address(9), LIMITS).unwrap();
        let own = [0; 2].map(|_| all.try_admit(address(1), LIMITS).unwrap());
        own[0].asked();
        own[1].asked();
        assert!(matches!(all.try_admit(address(1), LIMITS), Err(NoRoom::Refused(Refusal::Address))));
        own[1].waits();
        assert!(all.try_admit(address(1), LIMITS).is_ok());
        assert!(is_told(&own[1]) && !is_told(&own[0]) && !is_told(&other));
    }

    #[test]
    fn connection_without_request_is_displaced_first() {
        let all = connections();
        let limits = ConnectionLimits { most: 2, most_per_address: 2 };
        let known = all.try_admit(address(1), limits).unwrap();
        known.asked();
        known.waits();
        let silent = all.try_admit(address(1), limits).unwrap();
        assert!(all.try_admit(address(1), limits).is_ok());
        assert!(is_told(&silent) && !is_told(&known));
    }

    #[test]
    fn dropped_connection_frees_its_place() {
        let all = connections();
        let mut held: Vec<_> = (0..4).map(|last| all.try_admit(address(last), LIMITS).unwrap()).collect();
        held.iter().for_each(Connection::asked);
        assert!(all.try_admit(address(7), LIMITS).is_err());
        held.remove(1);
        held.push(all.try_admit(address(7), LIMITS).unwrap());
        held.clear();
        let state = all.lock();
        assert_eq!((state.count, state.leaving, state.by_address.len(), all.gauge().get()), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn new_connection_waits_for_closing_ones() {
        let all = connections();
        let limits = ConnectionLimits { most: 8, most_per_address: 8 };
        let mut waiting: Vec<_> = (0..12).map(|last| all.try_admit(address(last), limits).unwrap()).collect();
        assert!(matches!(all.try_admit(address(20), limits), Err(NoRoom::Soon)));
        let admitted = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.admit(address(20), limits).await.is_ok() }
        });
        tokio::task::yield_now().await;
        waiting.retain(|connection| !is_told(connection));
        assert!(admitted.await.unwrap());
    }

    #[test]
    fn close_notifies_all_connections() {
        let all = connections();
        let held = all.try_admit(address(1), LIMITS).unwrap();
        assert!(!is_told(&held));
        all.close_waiting();
        assert!(is_told(&held));
    }
}
