//! The restore log: what a gateway knows of the bank's limits, to report it after the bank lost its
//! data.
//!
//! For each limit that has not refilled since, it keeps the tokens that the bank had left after the
//! last call that this gateway knows of, and the version of that call. See restore.lua and
//! docs/adr/0026.
//!
//! Invariant: what is restored is never above the truth. The bank takes the level of the latest
//! call, and only once all gateways that may have called have reported.

use std::collections::{HashMap, VecDeque};

use common::limit::Rate;

use super::{
    account::LEASE,
    draw::{Answer, Argument, Grant},
    request::DrawRequest,
};

/// Most limits in one call, the same as in calls that draw.
const MOST_A_CALL: usize = 512;

/// Number of limits from which on refilled ones are dropped.
const PRUNED_FROM: usize = 1_024;

/// The restore log of one shard.
#[derive(Default)]
pub(super) struct RestoreLog {
    /// By the address of the account.
    limits: HashMap<usize, Level>,
    /// Number of limits at which refilled ones are dropped next.
    prune_at: usize,
    bank: BankState,
    /// The instant that [`Self::outdated`] compared with last.
    looked_from: u64,
    /// The restore that is under way.
    pending: Option<Restore>,
    /// The last loss that was reported about completely.
    reported: u64,
}

/// The part of the bank's last answer that is about the bank itself.
#[derive(Debug, Clone, Default)]
struct BankState {
    version: u64,
    known_micros: u64,
    ids: Vec<u64>,
    /// Instant of the answer.
    at: u64,
}

/// The last known level of one limit.
#[derive(Clone)]
struct Level {
    request: DrawRequest,
    rate: Rate,
    version: u64,
    tokens: i64,
    /// Instant of the answer.
    at: u64,
}

/// The restore after one loss: the log as it was when the bank asked.
struct Restore {
    loss: u64,
    bank: BankState,
    limits: VecDeque<Level>,
}

/// One call of restore.lua, with a part of the levels.
pub struct RestoreCall {
    loss: u64,
    bank: BankState,
    limits: Vec<Level>,
    sent: u64,
    is_last: bool,
}

impl RestoreLog {
    /// Version of the last call that was answered, 0 if there is none.
    pub(super) const fn version(&self) -> u64 {
        self.bank.version
    }

    /// Returns true if levels are still to be reported.
    pub(super) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Begins to restore after a loss, from the log as it is now.
    pub(super) fn begin(&mut self, loss: u64, now: u64) {
        if loss == self.reported || self.pending.as_ref().is_some_and(|restore| restore.loss == loss) {
            return;
        }
        self.limits.retain(|_, level| !level.has_refilled(now));
        self.pending = Some(Restore { loss, bank: self.bank.clone(), limits: self.limits.values().cloned().collect() });
    }

    /// Records an answer of the bank. Its grants follow, in [`Self::record_level`].
    pub(super) fn record_answer(&mut self, answer: &Answer, now: u64) {
        let Answer { version, known_micros, ids, .. } = answer;
        self.bank = BankState { version: *version, known_micros: *known_micros, ids: ids.clone(), at: now };
    }

    /// Returns the limits whose level may be outdated: a gateway that is gone called after it was
    /// recorded. They must be drawn again while the bank still knows their level. Each departure is
    /// returned once.
    pub(super) fn outdated(&mut self, now: u64) -> Vec<DrawRequest> {
        let from = self.bank.at.saturating_sub(self.bank.known_micros.saturating_mul(1_000));
        if from < self.looked_from.saturating_add(LEASE) {
            return Vec::new();
        }
        self.looked_from = from;
        self.limits.retain(|_, level| !level.has_refilled(now));
        let is_older = |level: &&Level| level.at < from.saturating_add(2 * LEASE);
        self.limits.values().filter(is_older).map(|level| level.request.clone()).collect()
    }

    /// Records the level of a limit after the last recorded answer.
    pub(super) fn record_level(&mut self, request: &DrawRequest, grant: &Grant, now: u64) {
        let Some(rate) = request.as_rate() else {
            return;
        };
        let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let tokens = if grant.owed > 0 { -signed(grant.owed) } else { signed(grant.level) };
        let level = Level { request: request.clone().unhurried(), rate, version: self.bank.version, tokens, at: now };
        self.limits.insert(request.address(), level);
        if self.limits.len() > self.prune_at.max(PRUNED_FROM) {
            self.limits.retain(|_, level| !level.has_refilled(now));
            self.prune_at = 2 * self.limits.len();
        }
    }

    /// Makes the next restore call.
    pub(super) fn next_call(&mut self, now: u64) -> Option<RestoreCall> {
        let Restore { loss, bank, limits } = self.pending.as_mut()?;
        let part: Vec<_> = limits.drain(..limits.len().min(MOST_A_CALL)).collect();
        Some(RestoreCall { loss: *loss, bank: bank.clone(), limits: part, sent: now, is_last: limits.is_empty() })
    }

    /// Takes the answer to a restore call: recorded (`is_recorded`), or not needed any more.
    pub(super) fn answered(&mut self, call: &RestoreCall, is_recorded: bool) {
        let is_pending = self.pending.as_ref().is_some_and(|restore| restore.loss == call.loss);
        if is_pending && (call.is_last || !is_recorded) {
            self.pending = None;
            self.reported = call.loss;
        }
    }

    /// Puts the levels of a call that did not arrive back, for another call.
    pub(super) fn retry(&mut self, call: RestoreCall) {
        if let Some(restore) = self.pending.as_mut().filter(|restore| restore.loss == call.loss) {
            restore.limits.extend(call.limits);
        }
    }
}

impl Level {
    /// Returns true if the limit is full by now, whatever was in hand at gateways, if nobody has
    /// used it since.
    fn has_refilled(&self, now: u64) -> bool {
        let missing = i128::from(self.rate.burst()) - i128::from(self.tokens);
        let full_in = missing.max(0) * i128::from(self.rate.interval()) + i128::from(LEASE);
        i128::from(now.saturating_sub(self.at)) >= full_in
    }
}

impl RestoreCall {
    /// Instant of the call, in nanoseconds of the gateway's clock.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Keys of the script.
    pub fn keys(&self, shard: usize) -> Vec<String> {
        let name = |name| format!("rb:{{{shard}}}:{name}");
        std::iter::once("clock").chain(self.limits.iter().map(|level| level.request.name())).map(name).collect()
    }

    /// Arguments of the script.
    pub fn arguments<'a>(&self, gateway: &'a str) -> Vec<Argument<'a>> {
        let micros_since = |at: u64| self.sent.saturating_sub(at) / 1_000;
        let BankState { version, known_micros, ids, at } = &self.bank;
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
        let limits = self.limits.iter().flat_map(|level| {
            [
                Argument::Number(level.rate.limit()),
                Argument::Number(level.rate.window_micros()),
                Argument::Number(level.rate.burst()),
                Argument::Number(level.version),
                Argument::Signed(level.tokens),
                Argument::Number(micros_since(level.at)),
            ]
        });
        about_call.into_iter().chain(ids).chain(limits).collect()
    }
}
