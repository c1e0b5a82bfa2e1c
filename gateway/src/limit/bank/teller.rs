//! Which limits of a shard to tell the bank about, and when: those that run low or dry at once, and every holder again
//! before its lease ends. At most one call is under way, so that what is learned from one shapes the next.
//!
//! It also decides whether the bank is there. A call that is not answered means that it is away: from then on nobody
//! waits for it, and it is asked again from time to time until it answers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    SHARDS,
    account::LEASE,
    draw::{Answer, Argument, Draw, Kind, Loss},
    errand::Errand,
    memory::{Memory, Tell},
};
use crate::limit::rate::NANOS_PER_SECOND;

/// Most limits in one call: some milliseconds of the bank's time.
const MOST_A_CALL: usize = 512;

/// How often the bank hears from a gateway that needs nothing: it counts the fleet by that.
const HEARTBEAT: u64 = NANOS_PER_SECOND;

/// How often a bank that is away is tried.
const PROBE: u64 = NANOS_PER_SECOND / 10;

/// How long the bank must have seen fewer gateways until that is believed: after an outage, it sees them come back one
/// by one.
const STEADY: u64 = 10 * NANOS_PER_SECOND;

/// For how long it is believed that no bank was ever kept: another gateway may have started one meanwhile.
const FRESH: u64 = 10 * NANOS_PER_SECOND;

/// For how long the bank is sure to remember a call that it answered, if it has lost nothing.
const REMEMBERED: u64 = 1_800 * NANOS_PER_SECOND;

/// One call to the bank.
pub struct Call {
    /// Its number: a call that is overtaken by a later one counts for nothing.
    sequence: u64,
    /// When it was sent, in nanoseconds of the gateway's clock.
    sent: u64,
    is_fresh: bool,
    is_new_connection: bool,
    /// The last call that was answered.
    answered: u64,
    /// The bank's version of it.
    version: u64,
    is_last: bool,
    draws: Vec<(Errand, Draw)>,
}

/// How a teller works.
#[derive(Debug, Clone, Copy)]
pub struct TellerSettings {
    /// Gateways that share the limits while the bank is away, unless it saw more.
    pub gateways: u64,
    /// Least nanoseconds between calls that nobody waits for.
    pub tick: u64,
    /// Whether no bank was ever kept before: then every bucket starts full.
    pub is_fresh: bool,
}

/// The gateway's side of one shard. It starts with the bank away, until the first answer.
pub struct Teller {
    settings: TellerSettings,
    sequence: u64,
    /// When the first call was made.
    started_at: Option<u64>,
    /// When the last call was made or could not be made.
    called_at: Option<u64>,
    /// Number of the last call that was answered, and when it was sent.
    answered: Option<(u64, u64)>,
    is_new_connection: bool,
    /// Gateways that shared the limits when the bank was away last, or would now.
    gateways: u64,
    /// Since when the bank has seen fewer, and how many at most.
    fewer: Option<(u64, u64)>,
    /// As many as `gateways` while the bank is away, else 0; for all who want to know.
    away: Arc<AtomicU64>,
    /// What an answer takes, smoothed, in nanoseconds.
    round_trip: u64,
    /// Accounts that ran low, in the order in which they did.
    waiting: Vec<Errand>,
    is_urgent: bool,
    /// Holders, by the instant at which they are due and a number that tells them apart.
    due: BTreeMap<(u64, u64), Errand>,
    /// Where each holder is in `due`, by the account's address.
    holders: HashMap<usize, (u64, u64)>,
    visits: u64,
    memory: Memory,
}

impl Call {
    /// Its number.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was sent, in nanoseconds of the gateway's clock.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The limits it is about, with what is said of each.
    pub fn draws(&self) -> impl ExactSizeIterator<Item = (&str, &Draw)> {
        self.draws.iter().map(|(errand, draw)| (errand.name(), draw))
    }

    /// Tokens that `answer` grants to be spent; slots come back.
    pub(super) fn tokens(&self, answer: &Answer) -> u64 {
        let rates = self.draws.iter().zip(&answer.grants).filter(|((_, draw), _)| draw.kind == Kind::Rate);
        rates.map(|(_, grant)| grant.granted).sum()
    }

    /// The keys of the script, all in one slot of a Redis Cluster.
    pub fn keys(&self, shard: usize) -> Vec<String> {
        debug_assert!(shard < SHARDS);
        let name = |name| format!("rb:{{{shard}}}:{name}");
        std::iter::once("clock").chain(self.draws().map(|(limit, _)| limit)).map(name).collect()
    }

    /// The arguments of the script. `gateway` is the same for all calls of a process, and of no other.
    pub fn arguments<'a>(&self, gateway: &'a str) -> Vec<Argument<'a>> {
        let about_call = [
            Argument::Text(gateway),
            Argument::Number(self.sequence),
            Argument::Number(self.sent / 1_000),
            Argument::Number(LEASE / 1_000),
            Argument::Number(self.is_fresh.into()),
            Argument::Number(self.is_new_connection.into()),
            Argument::Number(self.answered),
            Argument::Number(self.is_last.into()),
            Argument::Number(self.version),
        ];
        about_call.into_iter().chain(self.draws().flat_map(|(_, draw)| draw.arguments())).collect()
    }
}

// === when to call, and what about ===

impl Teller {
    /// A teller that has not called yet.
    pub fn new(settings: TellerSettings) -> Self {
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
            memory: Memory::default(),
        }
    }

    /// How many gateways share each limit while the bank is away; none if it is there.
    pub fn gateways(&self) -> Option<u64> {
        gateways(&self.away)
    }

    /// What [`Self::gateways`] is made from, for other threads.
    pub(super) fn away(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.away)
    }

    /// Takes note of accounts that ran low.
    pub fn queue(&mut self, errands: impl IntoIterator<Item = Errand>) {
        let first = self.waiting.len();
        self.waiting.extend(errands);
        self.is_urgent |= self.waiting[first..].iter().any(Errand::is_urgent);
        if self.gateways().is_some() {
            self.waiting[first..].iter().for_each(Errand::unanswered);
        }
    }

    /// When the next call is due, in nanoseconds.
    pub fn next_at(&self) -> u64 {
        let Some(called_at) = self.called_at else {
            return 0;
        };
        if self.gateways().is_some() {
            return called_at + PROBE;
        }
        if self.is_urgent || self.memory.has_to_tell() {
            return called_at;
        }
        let next = match (self.waiting.is_empty(), self.due.first_key_value()) {
            (false, _) => called_at,
            (true, Some(((due, _), _))) => *due,
            (true, None) => u64::MAX,
        };
        next.max(called_at + self.settings.tick).min(called_at + HEARTBEAT)
    }

    /// The next call, if it is due at `now`.
    pub fn call(&mut self, now: u64) -> Option<Call> {
        if now < self.next_at() {
            return None;
        }
        self.called_at = Some(now);
        let started_at = *self.started_at.get_or_insert(now);
        self.settings.is_fresh &= now.saturating_sub(started_at) < FRESH;
        let (round_trip, gateways) = (self.round_trip + self.settings.tick, self.gateways);
        let draws = self.errands(now).into_iter().map(|errand| {
            let draw = errand.draw(now, round_trip, gateways);
            (errand, draw)
        });
        let draws = draws.collect();
        Some(Call { draws, ..self.empty_call(now) })
    }

    /// The last call of all: the bank need not wait for this gateway any more. What it holds lapses by itself.
    pub fn farewell(&mut self, now: u64) -> Call {
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
            version: self.memory.version(),
            is_last: false,
            draws: Vec::new(),
        }
    }

    /// Those to tell about: who ran low, and then who is due. Each once, with its latest terms.
    fn errands(&mut self, now: u64) -> Vec<Errand> {
        let mut errands: Vec<Errand> = Vec::new();
        let mut index: HashMap<usize, usize> = HashMap::new();
        let first = self.waiting.len().min(MOST_A_CALL);
        for errand in self.waiting.drain(..first) {
            let place = *index.entry(errand.address()).or_insert(errands.len());
            if place == errands.len() {
                errands.push(errand);
            } else {
                errands[place] = errand;
            }
        }
        self.is_urgent = self.waiting.iter().any(Errand::is_urgent);
        for errand in &errands {
            self.forget(errand.address());
        }
        while errands.len() < MOST_A_CALL
            && let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now)
        {
            let errand = entry.remove();
            self.holders.remove(&errand.address());
            errands.push(errand);
        }
        errands
    }

    fn visit(&mut self, errand: Errand, due: u64) {
        let errand = errand.unhurried();
        let address = errand.address();
        self.forget(address);
        self.visits += 1;
        let place = (due, self.visits);
        self.holders.insert(address, place);
        self.due.insert(place, errand);
    }

    fn forget(&mut self, address: usize) {
        if let Some(place) = self.holders.remove(&address) {
            self.due.remove(&place);
        }
    }
}

// === what became of a call ===

impl Teller {
    /// The bank answered a call. If it is not open yet, it is as good as away.
    pub fn answered(&mut self, call: Call, answer: &Answer, now: u64) {
        let took = now.saturating_sub(call.sent);
        self.round_trip = (3 * self.round_trip + took) / 4;
        self.answered = Some((call.sequence, call.sent));
        self.is_new_connection = false;
        self.settings.is_fresh = false;
        if answer.asks > 0 {
            self.memory.asked(answer.asks, now);
        }
        if !answer.is_open {
            self.go_away();
            for (errand, draw) in call.draws {
                errand.noted(&draw, call.sent);
                self.visit(errand, now);
            }
            return;
        }
        self.memory.heard(answer, now);
        let gateways = self.gateways;
        for ((errand, draw), grant) in call.draws.into_iter().zip(&answer.grants) {
            self.memory.learn(&errand, grant, now);
            let due = errand.granted(&draw, grant, call.sent, now, gateways);
            if let Some(due) = due {
                self.visit(errand, due);
            }
        }
        // While the bank has lost what it knew, this gateway knows better.
        if answer.loss != Loss::Asking {
            for errand in self.memory.outdated(now) {
                self.visit(errand, now);
            }
        }
        // Only now: what was admitted alone until here was reckoned by the old number.
        self.count(answer.fleet.max(self.settings.gateways), now);
        self.away.store(0, Ordering::Release);
    }

    /// Believes in more gateways at once, and in fewer after a while.
    fn count(&mut self, fleet: u64, now: u64) {
        if fleet >= self.gateways {
            (self.gateways, self.fewer) = (fleet, None);
            return;
        }
        let (since, most) = self.fewer.unwrap_or((now, fleet));
        self.fewer = Some((since, most.max(fleet)));
        if now.saturating_sub(since) >= STEADY {
            (self.gateways, self.fewer) = (most.max(fleet), None);
        }
    }

    /// A part of what the bank has asked for after a loss of data, if it is time for a call.
    pub fn tell(&mut self, now: u64) -> Option<Tell> {
        if now < self.next_at() {
            return None;
        }
        let tell = self.memory.next(now)?;
        self.called_at = Some(now);
        Some(tell)
    }

    /// The bank took note of what it was told (`is_noted`), or does not ask any more.
    pub fn told(&mut self, tell: &Tell, is_noted: bool) {
        self.memory.told(tell, is_noted);
    }

    /// What was told came too late to count.
    pub fn told_late(&mut self, tell: Tell) {
        self.memory.untold(tell);
    }

    /// Nobody answered what was told: the bank is away.
    pub fn untold(&mut self, tell: Tell, now: u64) {
        self.memory.untold(tell);
        self.unreachable(now);
    }

    /// Nobody answered a call: the bank is away, and the next call goes over a new connection. The call's accounts are
    /// to be told of again.
    pub fn unanswered(&mut self, call: Call, now: u64) {
        self.unreachable(now);
        self.retry(call, now);
    }

    /// The bank cannot be reached, so that no call was made.
    pub fn unreachable(&mut self, now: u64) {
        self.called_at = Some(now);
        self.is_new_connection = true;
        self.go_away();
    }

    /// A later call had overtaken this one.
    pub fn late(&mut self, call: Call, now: u64) {
        self.retry(call, now);
    }

    fn go_away(&mut self) {
        self.fewer = None;
        // First, so that whoever is woken sees it.
        self.away.store(self.gateways.max(1), Ordering::Release);
        self.waiting.iter().for_each(Errand::unanswered);
    }

    fn retry(&mut self, call: Call, now: u64) {
        for (errand, _) in call.draws {
            errand.unanswered();
            self.visit(errand, now);
        }
    }
}

/// Reads the number that a teller shares.
pub(super) fn gateways(away: &AtomicU64) -> Option<u64> {
    match away.load(Ordering::Acquire) {
        0 => None,
        gateways => Some(gateways),
    }
}
