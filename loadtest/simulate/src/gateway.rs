//! One gateway: the real accounts and teller, and around them what its bank client does with a connection.

use std::{collections::VecDeque, sync::Arc};

use gateway::limit::{
    Purse, Rate,
    bank::{Account, Answer, Argument, Call, Debit, Errand, Short, SlotAccount, Tell, Teller, TellerSettings},
    take_all,
};

use super::{
    redis::{Command, Reply},
    schedule::Terms,
};

/// Least time between calls that nobody waits for, in nanoseconds.
pub const TICK: u64 = 10_000_000;

/// How long a gateway waits for an answer, in nanoseconds.
pub const TIMEOUT: u64 = 100_000_000;

/// How long a request waits for tokens at most, in nanoseconds.
pub const PATIENCE: u64 = 100_000_000;

/// All limits are in one shard: each shard is a bank of its own.
const SHARD: usize = 0;

/// The limits that a request needs, by their numbers.
pub type Needs = Vec<usize>;

/// One gateway, from start to end of its process.
pub struct Gateway {
    name: String,
    /// What its clock shows when the world starts.
    origin: u64,
    limits: Vec<(Arc<Account>, Rate)>,
    /// Of requests under way, and how many there may be.
    slots: Option<(Arc<SlotAccount>, u64)>,
    teller: Teller,
    under_way: Option<UnderWay>,
    /// How many calls were sent.
    sent: u64,
    waiting: VecDeque<Waiting>,
}

/// What was sent and is not answered yet, with its number.
enum UnderWay {
    Call(u64, Call),
    Tell(u64, Tell),
}

impl UnderWay {
    const fn sequence(&self) -> u64 {
        match self {
            Self::Call(sequence, _) | Self::Tell(sequence, _) => *sequence,
        }
    }
}

/// A request that waits for tokens.
struct Waiting {
    /// When it arrived, in world time.
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
    pub fn tells(&self, key: &str, terms: Terms) -> bool {
        const ABOUT_CALL: usize = 9;
        const ABOUT_LIMIT: usize = 9;
        if self.command == Command::Tell {
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

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Admitted,
    /// It may not.
    Denied,
    /// It waits for an answer of the bank.
    Waits,
}

impl Gateway {
    /// A gateway that just started; its clock is `origin` nanoseconds ahead of the world's. It reckons with `gateways` of
    /// them until it knows better. `is_fresh`: there never was a bank before.
    pub fn new(name: String, origin: u64, limits: &[(String, Rate)], gateways: u64, is_fresh: bool) -> Self {
        let limits = limits.iter().map(|(name, rate)| (Arc::new(Account::new(name.as_str())), *rate)).collect();
        Self {
            name,
            origin,
            limits,
            slots: None,
            teller: Teller::new(TellerSettings { gateways, tick: TICK, is_fresh }),
            under_way: None,
            sent: 0,
            waiting: VecDeque::new(),
        }
    }

    /// At most so many requests may be under way, from now on.
    pub fn limit_under_way(&mut self, limit: u64) {
        let account =
            self.slots.take().map_or_else(|| Arc::new(SlotAccount::new(Self::limit_name(0))), |slots| slots.0);
        self.slots = Some((account, limit));
    }

    /// A request has ended.
    pub fn end(&self) {
        if let Some((account, _)) = &self.slots {
            account.leave();
        }
    }

    /// The name of the `index`-th limit of a world.
    pub fn limit_name(index: usize) -> String {
        let names = (0_u32..).map(|number| format!("limit-{number}"));
        names.filter(|name| Account::new(name.as_str()).shard() == SHARD).nth(index).unwrap_or_default()
    }

    /// The key under which the bank keeps a limit.
    pub fn key(limit: &str) -> String {
        format!("rb:{{{SHARD}}}:{limit}")
    }

    /// Among how many this gateway shares the limits now because the bank is away.
    pub fn alone(&self) -> Option<u64> {
        self.teller.gateways()
    }

    /// What it can admit of a limit without asking anybody.
    pub fn remaining(&self, limit: usize, now: u64) -> u64 {
        let (account, rate) = &self.limits[limit];
        account.remaining(rate, self.alone(), now + self.origin)
    }

    /// What it would tell to be left of a limit, as every request needs all of them.
    pub fn told(&self, limit: usize, now: u64) -> u64 {
        let (account, rate) = &self.limits[limit];
        let others = self.limits.iter().enumerate().filter(|(other, _)| *other != limit).map(|(_, (_, rate))| rate);
        account.standing(rate, self.alone(), others, now + self.origin).remaining
    }

    /// What it holds of a limit by the bank's leave.
    pub fn in_hand(&self, limit: usize, now: u64) -> u64 {
        let (account, rate) = &self.limits[limit];
        account.remaining(rate, None, now + self.origin)
    }

    /// The limit is another one from now on.
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

    /// Decides about those that wait, after an answer or when their patience may have ended.
    pub fn decide(&mut self, answered: bool, now: u64) -> Vec<Verdict> {
        let mut decided = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let verdict = if answered { self.attempt(&waiting.needs, now) } else { Verdict::Waits };
            let verdict =
                if now >= waiting.arrived + PATIENCE && verdict == Verdict::Waits { Verdict::Denied } else { verdict };
            match verdict {
                Verdict::Waits => self.waiting.push_back(waiting),
                verdict => decided.push(verdict),
            }
        }
        decided
    }

    /// Debits everything that is needed, or nothing. It does not look first: each time that a limit refuses, what was
    /// debited of others has to be put back, as when another request gets in between.
    fn attempt(&mut self, needs: &[usize], now: u64) -> Verdict {
        let (clock, gateways) = (now + self.origin, self.alone());
        if let Some((account, limit)) = &self.slots
            && let Err(short) = account.take(*limit, gateways, clock)
        {
            account.missed();
            let waits = short == Short::Dry;
            self.queue(needs, waits, clock);
            return if waits { Verdict::Waits } else { Verdict::Denied };
        }
        let purse = |&limit: &usize| {
            let (account, rate) = &self.limits[limit];
            (rate, Purse::Shared { account, gateways })
        };
        if take_all(&needs.iter().map(purse).collect::<Vec<_>>(), clock, || clock) {
            self.queue(needs, false, clock);
            return Verdict::Admitted;
        }
        self.end();
        let mut is_shut = false;
        for &limit in needs {
            let (account, rate) = &self.limits[limit];
            if let Err(short) = account.check(rate, gateways, clock) {
                account.missed();
                is_shut |= matches!(short, Short::Wait(_));
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

    /// Gives back what was taken `elapsed` nanoseconds ago.
    pub fn put_back(&self, limit: usize, debit: Debit, elapsed: u64) {
        self.limits[limit].0.put_back(debit, elapsed);
    }

    fn queue(&mut self, needs: &[usize], is_urgent: bool, clock: u64) {
        let slots = self.slots.iter().filter(|(account, limit)| account.needs_draw(*limit, clock));
        for (account, limit) in slots {
            let errand = Errand::of_slots(Arc::clone(account), *limit);
            self.teller.queue([if is_urgent { errand.urgent() } else { errand }]);
        }
        for &limit in needs {
            let (account, rate) = &self.limits[limit];
            if account.needs_draw(rate, clock) {
                let errand = Errand::new(Arc::clone(account), *rate);
                self.teller.queue([if is_urgent { errand.urgent() } else { errand }]);
            }
        }
    }
}

// === the bank's client ===

impl Gateway {
    /// When the next call is due, in world time; none while one is under way.
    pub fn next_at(&self) -> Option<u64> {
        self.under_way.is_none().then(|| self.teller.next_at().saturating_sub(self.origin))
    }

    /// The next call, if it is due.
    pub fn call(&mut self, now: u64) -> Option<Packet> {
        if self.under_way.is_some() {
            return None;
        }
        let sequence = self.sent + 1;
        let text = |arguments: Vec<Argument<'_>>| arguments.iter().map(ToString::to_string).collect();
        let packet = if let Some(tell) = self.teller.tell(now + self.origin) {
            let (keys, arguments) = (tell.keys(SHARD), text(tell.arguments(&self.name)));
            self.under_way = Some(UnderWay::Tell(sequence, tell));
            Packet { sequence, command: Command::Tell, keys, arguments }
        } else {
            let call = self.teller.call(now + self.origin)?;
            let (keys, arguments) = (call.keys(SHARD), text(call.arguments(&self.name)));
            self.under_way = Some(UnderWay::Call(sequence, call));
            Packet { sequence, command: Command::Draw, keys, arguments }
        };
        self.sent = sequence;
        Some(packet)
    }

    /// What is under way under this number.
    fn take_under_way(&mut self, sequence: u64) -> Option<UnderWay> {
        self.under_way.take_if(|under_way| under_way.sequence() == sequence)
    }

    /// The bank answered what was sent as `sequence`. Whether that was still awaited; else the answer is dropped.
    pub fn answered(&mut self, sequence: u64, reply: &Reply, now: u64) -> bool {
        let clock = now + self.origin;
        match (self.take_under_way(sequence), reply) {
            (None, _) => return false,
            (Some(UnderWay::Tell(_, tell)), Reply::Numbers(numbers)) => self.teller.told(&tell, *numbers == [1]),
            (Some(UnderWay::Tell(_, tell)), Reply::Late) => self.teller.told_late(tell),
            (Some(UnderWay::Call(_, call)), Reply::Late) => self.teller.late(call, clock),
            (Some(UnderWay::Call(_, call)), Reply::Numbers(numbers)) => {
                let answer = Answer::parse(numbers, call.draws().len());
                match answer {
                    Some(answer) => self.teller.answered(call, &answer, clock),
                    None => self.teller.unanswered(call, clock),
                }
            }
        }
        true
    }

    /// The bank did not answer the call `sequence` in time, or cannot be reached. Whether that was still awaited.
    pub fn failed(&mut self, sequence: u64, now: u64) -> bool {
        match self.take_under_way(sequence) {
            None => return false,
            Some(UnderWay::Tell(_, tell)) => self.teller.untold(tell, now + self.origin),
            Some(UnderWay::Call(_, call)) => self.teller.unanswered(call, now + self.origin),
        }
        true
    }
}
