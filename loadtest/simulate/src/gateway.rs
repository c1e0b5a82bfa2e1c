//! One gateway: the real accounts and scheduler, and a stand-in for the bank's worker and its
//! connection.

use std::{collections::VecDeque, sync::Arc};

use gateway::limit::{
    Rate, TokenSource,
    bank::{
        Account, Answer, Argument, Call, ConcurrencyAccount, Debit, DrawRequest, RestoreCall, Scheduler,
        SchedulerSettings, Shortage,
    },
    take_all,
};

use super::{
    redis::{Command, Reply},
    schedule::Terms,
};

/// Least time between calls that no request waits for, in nanoseconds.
pub const TICK: u64 = 10_000_000;

/// Longest time that a gateway waits for an answer, in nanoseconds.
pub const TIMEOUT: u64 = 100_000_000;

/// Longest time that a request waits for tokens, in nanoseconds.
pub const MAX_WAIT: u64 = 100_000_000;

/// All limits are in one shard: each shard is a bank of its own.
const SHARD: usize = 0;

/// The limits that a request needs, by their numbers.
pub type Needs = Vec<usize>;

/// One gateway, from start to end of its process.
pub struct Gateway {
    name: String,
    /// Time on its clock when the simulation starts.
    origin: u64,
    limits: Vec<(Arc<Account>, Rate)>,
    /// The concurrency limit, if there is one.
    concurrency: Option<(Arc<ConcurrencyAccount>, u64)>,
    scheduler: Scheduler,
    pending: Option<Pending>,
    /// Number of calls sent.
    sent: u64,
    waiting: VecDeque<Waiting>,
}

/// A call that is not answered yet, with its number.
enum Pending {
    Call(u64, Call),
    Restore(u64, RestoreCall),
}

impl Pending {
    const fn sequence(&self) -> u64 {
        match self {
            Self::Call(sequence, _) | Self::Restore(sequence, _) => *sequence,
        }
    }
}

/// A request that waits for tokens.
struct Waiting {
    /// Time of its arrival, in simulated time.
    arrived: u64,
    needs: Needs,
}

/// A call on its way to the bank.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Its number at its gateway.
    pub sequence: u64,
    /// Which script it runs.
    pub command: Command,
    /// Keys of the script.
    pub keys: Vec<String>,
    /// Arguments of the script.
    pub arguments: Vec<String>,
}

impl Packet {
    /// Returns true if it says that the limit under this key is so.
    pub fn reports(&self, key: &str, terms: Terms) -> bool {
        const ABOUT_CALL: usize = 9;
        const ABOUT_LIMIT: usize = 9;
        if self.command == Command::Restore {
            return false;
        }
        let Some(place) = self.keys.iter().skip(1).position(|found| found == key) else {
            return false;
        };
        let told = &self.arguments[ABOUT_CALL + place * ABOUT_LIMIT..][1..4];
        let window = terms.window.seconds() * 1_000_000;
        *told == [terms.limit, window, terms.burst].map(|number| number.to_string())
    }
}

/// Decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request is admitted.
    Admitted,
    /// The request is denied.
    Denied,
    /// The request waits for an answer of the bank.
    Waits,
}

impl Gateway {
    /// Makes a gateway that just started. Its clock is `origin` nanoseconds ahead of simulated
    /// time, and it is configured with this number of gateways. `is_fresh` says that there was no
    /// bank before.
    pub fn new(name: String, origin: u64, limits: &[(String, Rate)], gateways: u64, is_fresh: bool) -> Self {
        let limits = limits.iter().map(|(name, rate)| (Arc::new(Account::new(name.as_str())), *rate)).collect();
        Self {
            name,
            origin,
            limits,
            concurrency: None,
            scheduler: Scheduler::new(SchedulerSettings { gateways, tick: TICK, is_fresh }),
            pending: None,
            sent: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Sets the concurrency limit.
    pub fn limit_concurrency(&mut self, limit: u64) {
        let account = self
            .concurrency
            .take()
            .map_or_else(|| Arc::new(ConcurrencyAccount::new(Self::limit_name(0))), |concurrency| concurrency.0);
        self.concurrency = Some((account, limit));
    }

    /// A request has ended.
    pub fn end(&self) {
        if let Some((account, _)) = &self.concurrency {
            account.release();
        }
    }

    /// Name of the `index`-th limit of a simulation.
    pub fn limit_name(index: usize) -> String {
        let names = (0_u32..).map(|number| format!("limit-{number}"));
        names.filter(|name| Account::new(name.as_str()).shard() == SHARD).nth(index).unwrap_or_default()
    }

    /// The key under which the bank keeps a limit.
    pub fn key(limit: &str) -> String {
        format!("rb:{{{SHARD}}}:{limit}")
    }

    /// Number of gateways that share the limits while the bank is away, none while it answers.
    pub fn alone(&self) -> Option<u64> {
        self.scheduler.gateways()
    }

    /// Requests that the gateway can admit without asking the bank.
    pub fn remaining(&self, limit: usize, now: u64) -> u64 {
        let (account, rate) = &self.limits[limit];
        account.remaining(rate, self.alone(), now + self.origin)
    }

    /// Remaining tokens of a limit as shown to clients. Every request needs all limits.
    pub fn shown(&self, limit: usize, now: u64) -> u64 {
        let (account, rate) = &self.limits[limit];
        let others = self.limits.iter().enumerate().filter(|(other, _)| *other != limit).map(|(_, (_, rate))| rate);
        account.estimate(rate, self.alone(), others, now + self.origin).remaining
    }

    /// Tokens of a limit that the bank granted and that are in hand.
    pub fn in_hand(&self, limit: usize, now: u64) -> u64 {
        let (account, rate) = &self.limits[limit];
        account.remaining(rate, None, now + self.origin)
    }

    /// Changes a limit.
    pub fn change(&mut self, limit: usize, rate: Rate) {
        self.limits[limit].1 = rate;
    }
}

// === requests ===

impl Gateway {
    /// Decides about a request that arrives at `now`.
    pub fn request(&mut self, needs: Needs, now: u64) -> Verdict {
        let verdict = self.attempt(&needs, now);
        if verdict == Verdict::Waits {
            self.waiting.push_back(Waiting { arrived: now, needs });
        }
        verdict
    }

    /// Decides about waiting requests, after an answer or when one may have waited too long.
    pub fn decide(&mut self, answered: bool, now: u64) -> Vec<Verdict> {
        let mut decided = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let verdict = if answered { self.attempt(&waiting.needs, now) } else { Verdict::Waits };
            let verdict =
                if now >= waiting.arrived + MAX_WAIT && verdict == Verdict::Waits { Verdict::Denied } else { verdict };
            match verdict {
                Verdict::Waits => self.waiting.push_back(waiting),
                verdict => decided.push(verdict),
            }
        }
        decided
    }

    /// Debits all needed limits, or none. It does not check first, so that tokens of other limits
    /// must be put back each time that a limit refuses, as if another request had come in between.
    fn attempt(&mut self, needs: &[usize], now: u64) -> Verdict {
        let (clock, gateways) = (now + self.origin, self.alone());
        if let Some((account, limit)) = &self.concurrency
            && let Err(shortage) = account.take(*limit, gateways, clock)
        {
            account.missed();
            let waits = shortage == Shortage::AskBank;
            self.queue(needs, waits, clock);
            return if waits { Verdict::Waits } else { Verdict::Denied };
        }
        let source = |&limit: &usize| {
            let (account, rate) = &self.limits[limit];
            (rate, TokenSource::Shared { account, gateways })
        };
        if take_all(&needs.iter().map(source).collect::<Vec<_>>(), clock, || clock) {
            self.queue(needs, false, clock);
            return Verdict::Admitted;
        }
        self.end();
        let mut is_shut = false;
        for &limit in needs {
            let (account, rate) = &self.limits[limit];
            if let Err(short) = account.check(rate, gateways, clock) {
                account.missed();
                is_shut |= matches!(short, Shortage::Wait(_));
            }
        }
        if is_shut {
            return Verdict::Denied;
        }
        self.queue(needs, true, clock);
        Verdict::Waits
    }

    /// Takes one token of a limit, to give it back later.
    pub fn take(&mut self, limit: usize, now: u64) -> Option<Debit> {
        let (account, rate) = &self.limits[limit];
        let debit = account.take(rate, self.alone(), now + self.origin).ok();
        self.queue(&[limit], false, now + self.origin);
        debit
    }

    /// Puts a token back that was taken `elapsed` nanoseconds ago.
    pub fn put_back(&self, limit: usize, debit: Debit, elapsed: u64) {
        self.limits[limit].0.put_back(debit, elapsed);
    }

    fn queue(&mut self, needs: &[usize], is_urgent: bool, clock: u64) {
        let concurrency = self.concurrency.iter().filter(|(account, limit)| account.needs_draw(*limit, clock));
        for (account, limit) in concurrency {
            let request = DrawRequest::concurrency(Arc::clone(account), *limit);
            self.scheduler.queue([if is_urgent { request.urgent() } else { request }]);
        }
        for &limit in needs {
            let (account, rate) = &self.limits[limit];
            if account.needs_draw(rate, clock) {
                let request = DrawRequest::rate(Arc::clone(account), *rate);
                self.scheduler.queue([if is_urgent { request.urgent() } else { request }]);
            }
        }
    }
}

// === the bank's worker ===

impl Gateway {
    /// Time of the next call, in simulated time. None while one is pending.
    pub fn next_at(&self) -> Option<u64> {
        self.pending.is_none().then(|| self.scheduler.next_at().saturating_sub(self.origin))
    }

    /// The next call, if it is due.
    pub fn call(&mut self, now: u64) -> Option<Packet> {
        if self.pending.is_some() {
            return None;
        }
        let sequence = self.sent + 1;
        let text = |arguments: Vec<Argument<'_>>| arguments.iter().map(ToString::to_string).collect();
        let packet = if let Some(call) = self.scheduler.restore_call(now + self.origin) {
            let (keys, arguments) = (call.keys(SHARD), text(call.arguments(&self.name)));
            self.pending = Some(Pending::Restore(sequence, call));
            Packet { sequence, command: Command::Restore, keys, arguments }
        } else {
            let call = self.scheduler.call(now + self.origin)?;
            let (keys, arguments) = (call.keys(SHARD), text(call.arguments(&self.name)));
            self.pending = Some(Pending::Call(sequence, call));
            Packet { sequence, command: Command::Draw, keys, arguments }
        };
        self.sent = sequence;
        Some(packet)
    }

    /// Takes the pending call with this number.
    fn take_pending(&mut self, sequence: u64) -> Option<Pending> {
        self.pending.take_if(|pending| pending.sequence() == sequence)
    }

    /// Takes the bank's answer to the call `sequence`. Returns false if the call was not pending
    /// any more.
    pub fn answered(&mut self, sequence: u64, reply: &Reply, now: u64) -> bool {
        let clock = now + self.origin;
        match (self.take_pending(sequence), reply) {
            (None, _) => return false,
            (Some(Pending::Restore(_, call)), Reply::Numbers(numbers)) => {
                self.scheduler.restore_answered(&call, *numbers == [1]);
            }
            (Some(Pending::Restore(_, call)), Reply::Late) => self.scheduler.restore_late(call),
            (Some(Pending::Call(_, call)), Reply::Late) => self.scheduler.late(call, clock),
            (Some(Pending::Call(_, call)), Reply::Numbers(numbers)) => {
                let answer = Answer::parse(numbers, call.draws().len());
                match answer {
                    Some(answer) => self.scheduler.answered(call, &answer, clock),
                    None => self.scheduler.unanswered(call, clock),
                }
            }
        }
        true
    }

    /// Fails the call `sequence`: no answer in time, or the bank cannot be reached. Returns false
    /// if the call was not pending any more.
    pub fn failed(&mut self, sequence: u64, now: u64) -> bool {
        match self.take_pending(sequence) {
            None => return false,
            Some(Pending::Restore(_, call)) => self.scheduler.restore_unanswered(call, now + self.origin),
            Some(Pending::Call(_, call)) => self.scheduler.unanswered(call, now + self.origin),
        }
        true
    }
}
