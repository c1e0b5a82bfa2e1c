//! What a gateway remembers of the bank, to tell it after a loss of data.
//!
//! Of each limit that has not refilled since, it is what the bank had left after the last call that this gateway knows
//! of, and the version of that call. The bank takes what the latest call left, and only once everybody has told who may
//! have called: so what is restored is never above the truth. See restore.lua and docs/adr/0026.

use std::collections::{HashMap, VecDeque};

use super::{
    account::LEASE,
    draw::{Answer, Argument, Grant},
    errand::Errand,
};
use crate::limit::rate::Rate;

/// Most limits in one call, as in calls that draw.
const MOST_A_CALL: usize = 512;

/// Limits that are remembered before it is looked which of them have refilled.
const PRUNED_FROM: usize = 1_024;

/// What is remembered of one shard.
#[derive(Default)]
pub(super) struct Memory {
    /// By the address of the account.
    limits: HashMap<usize, Known>,
    /// Limits after which it is looked next which of them have refilled.
    prune_at: usize,
    bank: Heard,
    /// The instant after which nobody called who is gone, as it was when it was last looked which limits are older.
    looked_from: u64,
    /// What is left to tell.
    telling: Option<Telling>,
    /// The last loss that everything was told about.
    told: u64,
}

/// What the bank last said about itself.
#[derive(Debug, Clone, Default)]
struct Heard {
    version: u64,
    known_micros: u64,
    ids: Vec<u64>,
    /// When the answer came.
    at: u64,
}

/// What is known of one limit.
#[derive(Clone)]
struct Known {
    errand: Errand,
    rate: Rate,
    version: u64,
    level: i64,
    /// When the answer came.
    at: u64,
}

/// What is told about one loss: as it was known when the bank asked.
struct Telling {
    loss: u64,
    heard: Heard,
    limits: VecDeque<Known>,
}

/// A part of what is told, in one call of restore.lua.
pub struct Tell {
    loss: u64,
    heard: Heard,
    limits: Vec<Known>,
    sent: u64,
    is_last: bool,
}

impl Memory {
    /// The version of the last call that was answered; 0 if there is none.
    pub(super) const fn version(&self) -> u64 {
        self.bank.version
    }

    /// Returns true if anything is left to tell.
    pub(super) const fn has_to_tell(&self) -> bool {
        self.telling.is_some()
    }

    /// The bank asks about a loss: from now on, what is told is what is known now.
    pub(super) fn asked(&mut self, loss: u64, now: u64) {
        if loss == self.told || self.telling.as_ref().is_some_and(|telling| telling.loss == loss) {
            return;
        }
        self.limits.retain(|_, known| !known.has_refilled(now));
        self.telling =
            Some(Telling { loss, heard: self.bank.clone(), limits: self.limits.values().cloned().collect() });
    }

    /// The bank answered a call; what it said of each limit is to be learned.
    pub(super) fn heard(&mut self, answer: &Answer, now: u64) {
        let Answer { version, known_micros, ids, .. } = answer;
        self.bank = Heard { version: *version, known_micros: *known_micros, ids: ids.clone(), at: now };
    }

    /// The limits that were last heard of before a gateway called that is gone: it may have used them after. The bank has
    /// to be asked how they stand while it still knows. Each departure is told of once.
    pub(super) fn outdated(&mut self, now: u64) -> Vec<Errand> {
        let from = self.bank.at.saturating_sub(self.bank.known_micros.saturating_mul(1_000));
        if from < self.looked_from.saturating_add(LEASE) {
            return Vec::new();
        }
        self.looked_from = from;
        self.limits.retain(|_, known| !known.has_refilled(now));
        let is_older = |known: &&Known| known.at < from.saturating_add(2 * LEASE);
        self.limits.values().filter(is_older).map(|known| known.errand.clone()).collect()
    }

    /// What the call that was heard of last left of a limit.
    pub(super) fn learn(&mut self, errand: &Errand, grant: &Grant, now: u64) {
        let Some(rate) = errand.rate() else {
            return;
        };
        let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let level = if grant.owed > 0 { -signed(grant.owed) } else { signed(grant.level) };
        let known = Known { errand: errand.clone().unhurried(), rate, version: self.bank.version, level, at: now };
        self.limits.insert(errand.address(), known);
        if self.limits.len() > self.prune_at.max(PRUNED_FROM) {
            self.limits.retain(|_, known| !known.has_refilled(now));
            self.prune_at = 2 * self.limits.len();
        }
    }

    /// The next part to tell.
    pub(super) fn next(&mut self, now: u64) -> Option<Tell> {
        let Telling { loss, heard, limits } = self.telling.as_mut()?;
        let part: Vec<_> = limits.drain(..limits.len().min(MOST_A_CALL)).collect();
        Some(Tell { loss: *loss, heard: heard.clone(), limits: part, sent: now, is_last: limits.is_empty() })
    }

    /// The bank took note of a part; or nobody asks any more.
    pub(super) fn told(&mut self, tell: &Tell, is_noted: bool) {
        if self.telling.as_ref().is_some_and(|telling| telling.loss == tell.loss) && (tell.is_last || !is_noted) {
            self.telling = None;
            self.told = tell.loss;
        }
    }

    /// A part did not arrive: it is told again.
    pub(super) fn untold(&mut self, tell: Tell) {
        if let Some(telling) = self.telling.as_mut().filter(|telling| telling.loss == tell.loss) {
            telling.limits.extend(tell.limits);
        }
    }
}

impl Known {
    /// Returns true if the limit is full by now, whatever was in hands then and if nobody has used it since.
    fn has_refilled(&self, now: u64) -> bool {
        let missing = i128::from(self.rate.burst()) - i128::from(self.level);
        let full_in = missing.max(0) * i128::from(self.rate.interval()) + i128::from(LEASE);
        i128::from(now.saturating_sub(self.at)) >= full_in
    }
}

impl Tell {
    /// When it was sent, in nanoseconds of the gateway's clock.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The keys of the script.
    pub fn keys(&self, shard: usize) -> Vec<String> {
        let name = |name| format!("rb:{{{shard}}}:{name}");
        std::iter::once("clock").chain(self.limits.iter().map(|known| known.errand.name())).map(name).collect()
    }

    /// The arguments of the script.
    pub fn arguments<'a>(&self, gateway: &'a str) -> Vec<Argument<'a>> {
        let micros_since = |at: u64| self.sent.saturating_sub(at) / 1_000;
        let Heard { version, known_micros, ids, at } = &self.heard;
        let about_call = [
            Argument::Text(gateway),
            Argument::Number(self.loss),
            Argument::Number(*version),
            Argument::Number(known_micros.saturating_add(micros_since(*at))),
            Argument::Number(self.is_last.into()),
            Argument::Number(self.sent / 1_000),
            Argument::Number(ids.len() as u64),
        ];
        let ids = ids.iter().map(|id| Argument::Number(*id));
        let limits = self.limits.iter().flat_map(|known| {
            [
                Argument::Number(known.rate.limit()),
                Argument::Number(known.rate.window_micros()),
                Argument::Number(known.rate.burst()),
                Argument::Number(known.version),
                Argument::Signed(known.level),
                Argument::Number(micros_since(known.at)),
            ]
        });
        about_call.into_iter().chain(ids).chain(limits).collect()
    }
}
