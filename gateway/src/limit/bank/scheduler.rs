//! The scheduler of one shard: decides when to call the bank, and which accounts to draw for.
//!
//! An account that runs low is drawn for at once, and each account that holds something reports
//! again before its lease ends. A call without an answer means that the bank is away: from then on
//! no request waits for it, and it is tried every 100 ms until it answers.
//!
//! Invariant: at most one call of a shard is under way.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use common::limit::NANOS_PER_SECOND;

use super::{
    call::Call,
    draw::{Answer, Loss},
    request::DrawRequest,
    restore::{RestoreCall, RestoreLog},
};

/// Most limits in one call, which cost some milliseconds of the bank's time.
const MOST_A_CALL: usize = 512;

/// Longest time between two calls of a gateway that needs nothing. The bank counts the gateways by
/// their calls.
const HEARTBEAT: u64 = NANOS_PER_SECOND;

/// Time between two attempts to reach a bank that is away.
const PROBE: u64 = NANOS_PER_SECOND / 10;

/// Time for which the bank must know of fewer gateways before their number is lowered: after an
/// outage it hears from them one by one.
const STEADY: u64 = 10 * NANOS_PER_SECOND;

/// Time for which `is_fresh` counts after the first call. Another gateway may have started a bank
/// after that.
const FRESH: u64 = 10 * NANOS_PER_SECOND;

/// Time for which the bank is certain to remember a call that it answered, unless it lost data.
const REMEMBERED: u64 = 1_800 * NANOS_PER_SECOND;

/// Settings of a scheduler.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerSettings {
    /// Gateways that share the limits while the bank is away, unless it knew of more.
    pub gateways: u64,
    /// Least nanoseconds between two calls that no request waits for.
    pub tick: u64,
    /// No bank was ever kept before, so that every bucket starts full.
    pub is_fresh: bool,
}

/// Schedules the calls of one shard. The bank counts as away until its first answer.
pub struct Scheduler {
    settings: SchedulerSettings,
    sequence: u64,
    /// Instant of the first call.
    started_at: Option<u64>,
    /// Instant of the last call or of the last failure to connect.
    called_at: Option<u64>,
    /// Number and instant of the last call that was answered.
    answered: Option<(u64, u64)>,
    is_new_connection: bool,
    /// Number of gateways that share the limits while the bank is away.
    gateways: u64,
    /// Instant since which the bank has known of fewer gateways, and their highest number since.
    fewer: Option<(u64, u64)>,
    /// Equal to `gateways` while the bank is away, else 0. Read by other threads.
    away: Arc<AtomicU64>,
    /// Duration of a call, smoothed, in nanoseconds.
    round_trip: u64,
    /// Requests for accounts that run low, oldest first.
    waiting: Vec<DrawRequest>,
    is_urgent: bool,
    /// Accounts that hold something, by the instant of their next report and a number that makes
    /// the key unique.
    due: BTreeMap<(u64, u64), DrawRequest>,
    /// Key of each account in `due`, by the account's address.
    holders: HashMap<usize, (u64, u64)>,
    visits: u64,
    restore_log: RestoreLog,
}

// === calls ===

impl Scheduler {
    /// Makes a scheduler that has not called yet.
    pub fn new(settings: SchedulerSettings) -> Self {
        let gateways = settings.gateways.max(1);
        Self {
            settings,
            sequence: 0,
            started_at: None,
            called_at: None,
            answered: None,
            is_new_connection: true,
            gateways,
            fewer: None,
            away: Arc::new(AtomicU64::new(gateways)),
            round_trip: settings.tick,
            waiting: Vec::new(),
            is_urgent: false,
            due: BTreeMap::new(),
            holders: HashMap::new(),
            visits: 0,
            restore_log: RestoreLog::default(),
        }
    }

    /// Number of gateways that share each limit while the bank is away, none while it answers.
    pub fn gateways(&self) -> Option<u64> {
        gateways(&self.away)
    }

    /// The number behind [`Self::gateways`], for other threads.
    pub(super) fn away(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.away)
    }

    /// Adds requests for accounts that run low.
    pub fn queue(&mut self, requests: impl IntoIterator<Item = DrawRequest>) {
        let first = self.waiting.len();
        self.waiting.extend(requests);
        self.is_urgent |= self.waiting[first..].iter().any(DrawRequest::is_urgent);
        if self.gateways().is_some() {
            self.waiting[first..].iter().for_each(DrawRequest::unanswered);
        }
    }

    /// Instant at which the next call is due, in nanoseconds.
    pub fn next_at(&self) -> u64 {
        let Some(called_at) = self.called_at else {
            return 0;
        };
        if self.gateways().is_some() {
            return called_at + PROBE;
        }
        if self.is_urgent || self.restore_log.is_pending() {
            return called_at;
        }
        let next = match (self.waiting.is_empty(), self.due.first_key_value()) {
            (false, _) => called_at,
            (true, Some(((due, _), _))) => *due,
            (true, None) => u64::MAX,
        };
        next.max(called_at + self.settings.tick).min(called_at + HEARTBEAT)
    }

    /// Makes the next call, if one is due at `now`.
    pub fn call(&mut self, now: u64) -> Option<Call> {
        if now < self.next_at() {
            return None;
        }
        self.called_at = Some(now);
        let started_at = *self.started_at.get_or_insert(now);
        self.settings.is_fresh &= now.saturating_sub(started_at) < FRESH;
        let (round_trip, gateways) = (self.round_trip + self.settings.tick, self.gateways);
        let draws = self.next_requests(now).into_iter().map(|request| {
            let draw = request.draw(now, round_trip, gateways);
            (request, draw)
        });
        let draws = draws.collect();
        Some(Call { draws, ..self.empty_call(now) })
    }

    /// Makes the last call of this process: the bank does not wait for the gateway any more. Its
    /// leases end by themselves.
    pub fn last_call(&mut self, now: u64) -> Call {
        Call { is_last: true, ..self.empty_call(now) }
    }

    fn empty_call(&mut self, now: u64) -> Call {
        self.sequence += 1;
        let answered = self.answered.filter(|(_, sent)| now.saturating_sub(*sent) < REMEMBERED);
        Call {
            sequence: self.sequence,
            sent: now,
            is_fresh: self.settings.is_fresh,
            is_new_connection: self.is_new_connection,
            answered: answered.map_or(0, |(sequence, _)| sequence),
            version: self.restore_log.version(),
            is_last: false,
            draws: Vec::new(),
        }
    }

    /// Takes the requests for the next call: accounts that run low first, then those whose report
    /// is due. Each account is taken once, with its latest terms.
    fn next_requests(&mut self, now: u64) -> Vec<DrawRequest> {
        let mut requests: Vec<DrawRequest> = Vec::new();
        let mut index: HashMap<usize, usize> = HashMap::new();
        let first = self.waiting.len().min(MOST_A_CALL);
        for request in self.waiting.drain(..first) {
            let place = *index.entry(request.address()).or_insert(requests.len());
            if place == requests.len() {
                requests.push(request);
            } else {
                requests[place] = request;
            }
        }
        self.is_urgent = self.waiting.iter().any(DrawRequest::is_urgent);
        for request in &requests {
            self.forget(request.address());
        }
        while requests.len() < MOST_A_CALL
            && let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now)
        {
            let request = entry.remove();
            self.holders.remove(&request.address());
            requests.push(request);
        }
        requests
    }

    fn visit(&mut self, request: DrawRequest, due: u64) {
        let request = request.unhurried();
        let address = request.address();
        self.forget(address);
        self.visits += 1;
        let place = (due, self.visits);
        self.holders.insert(address, place);
        self.due.insert(place, request);
    }

    fn forget(&mut self, address: usize) {
        if let Some(place) = self.holders.remove(&address) {
            self.due.remove(&place);
        }
    }
}

// === answers ===

impl Scheduler {
    /// Takes the bank's answer to a call. A bank that is not open yet counts as away.
    pub fn answered(&mut self, call: Call, answer: &Answer, now: u64) {
        let took = now.saturating_sub(call.sent);
        self.round_trip = (3 * self.round_trip + took) / 4;
        self.answered = Some((call.sequence, call.sent));
        self.is_new_connection = false;
        self.settings.is_fresh = false;
        if answer.asks > 0 {
            self.restore_log.begin(answer.asks, now);
        }
        if !answer.is_open {
            self.go_away();
            for (request, draw) in call.draws {
                request.noted(&draw, call.sent);
                self.visit(request, now);
            }
            return;
        }
        self.restore_log.record_answer(answer, now);
        let gateways = self.gateways;
        for ((request, draw), grant) in call.draws.into_iter().zip(&answer.grants) {
            self.restore_log.record_level(&request, grant, now);
            let due = request.granted(&draw, grant, call.sent, now, gateways);
            if let Some(due) = due {
                self.visit(request, due);
            }
        }
        // While the bank restores its data, the log is more recent than its answers.
        if answer.loss != Loss::Asking {
            for request in self.restore_log.outdated(now) {
                self.visit(request, now);
            }
        }
        // Last: the debts above were computed with the old number.
        self.count(answer.gateways.max(self.settings.gateways), now);
        self.away.store(0, Ordering::Release);
    }

    /// Raises the number of gateways at once, and lowers it after [`STEADY`].
    fn count(&mut self, gateways: u64, now: u64) {
        if gateways >= self.gateways {
            (self.gateways, self.fewer) = (gateways, None);
            return;
        }
        let (since, most) = self.fewer.unwrap_or((now, gateways));
        self.fewer = Some((since, most.max(gateways)));
        if now.saturating_sub(since) >= STEADY {
            (self.gateways, self.fewer) = (most.max(gateways), None);
        }
    }

    /// Makes the next call that restores lost data, if the bank asks for it and a call is due.
    pub fn restore_call(&mut self, now: u64) -> Option<RestoreCall> {
        if now < self.next_at() {
            return None;
        }
        let call = self.restore_log.next_call(now)?;
        self.called_at = Some(now);
        Some(call)
    }

    /// Takes the answer to a restore call: recorded (`is_recorded`), or not needed any more.
    pub fn restore_answered(&mut self, call: &RestoreCall, is_recorded: bool) {
        self.restore_log.answered(call, is_recorded);
    }

    /// Repeats a restore call that arrived too late to count.
    pub fn restore_late(&mut self, call: RestoreCall) {
        self.restore_log.retry(call);
    }

    /// Repeats a restore call that was not answered: the bank is away.
    pub fn restore_unanswered(&mut self, call: RestoreCall, now: u64) {
        self.restore_log.retry(call);
        self.unreachable(now);
    }

    /// Repeats a call that was not answered: the bank is away, and the next call uses a new
    /// connection.
    pub fn unanswered(&mut self, call: Call, now: u64) {
        self.unreachable(now);
        self.retry(call, now);
    }

    /// Marks the bank as away after a failure to connect.
    pub fn unreachable(&mut self, now: u64) {
        self.called_at = Some(now);
        self.is_new_connection = true;
        self.go_away();
    }

    /// Repeats a call that arrived after a later one.
    pub fn late(&mut self, call: Call, now: u64) {
        self.retry(call, now);
    }

    fn go_away(&mut self) {
        self.fewer = None;
        // Before the wake-up, so that the requests see it.
        self.away.store(self.gateways.max(1), Ordering::Release);
        self.waiting.iter().for_each(DrawRequest::unanswered);
    }

    fn retry(&mut self, call: Call, now: u64) {
        for (request, _) in call.draws {
            request.unanswered();
            self.visit(request, now);
        }
    }
}

/// Reads the number that [`Scheduler::away`] shares.
pub(super) fn gateways(away: &AtomicU64) -> Option<u64> {
    match away.load(Ordering::Acquire) {
        0 => None,
        gateways => Some(gateways),
    }
}
