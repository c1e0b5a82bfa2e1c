//! Watches a simulation: that the bound of each limit holds, and how well the limits are used.

use std::collections::HashMap;

use gateway::limit::bank::LEASE;

use super::{
    bound::{Bound, ExtraNumber},
    gateway::{Gateway, TICK, Verdict},
    permits::PermitOutcome,
    redis::Record,
    schedule::{Network, Terms},
};

/// Time that a step of the clock may gain before the bank notices it, in nanoseconds, beside the
/// jitter of calls: the bank compares its clock with the caller's.
const STEP_UNNOTICED: u64 = 50_000_000;

/// Time that a step of the clock may gain shortly after the bank lost its data, in nanoseconds: it
/// knows no caller's clock then, as for a gateway that has just started.
const STEP_AFTER_LOSS: u64 = 2_000_000_000;

/// Time for which a loss of data counts as recent, in nanoseconds: until every gateway has called
/// twice.
const LOST_SHORTLY: u64 = 3_000_000_000;

/// Longest time until a gateway asks again if the bank is empty but others hold tokens, in
/// nanoseconds.
const LOOKS_AGAIN: u64 = 100_000_000;

/// Until the end of the simulation.
const FOREVER: u64 = u64::MAX;

/// Result of a simulation.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests that arrived.
    pub offered: u64,
    /// Requests that one bucket, asked about each of them, would have admitted.
    pub ideal: u64,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests that waited for an answer of the bank.
    pub waited: u64,
    /// Calls to the bank.
    pub calls: u64,
    /// Most requests admitted above the bound over any stretch of time.
    pub overshoot: f64,
    /// The same, without the requests that the faults allow on top.
    pub plain_overshoot: f64,
    /// Most tokens that the bank had beyond the burst less all tokens in hand.
    pub bank_excess: f64,
    /// Largest debt of a limit at the bank, as a part of its burst.
    pub deepest_debt: f64,
    /// Largest difference of `remaining` above the tokens that were left.
    pub remaining_excess: f64,
    /// Most requests admitted since a loss of data above the tokens left at the bank then, those in
    /// hand and those refilled since.
    pub minted: f64,
    /// Tokens left of each limit in the end, at the bank and in hand.
    pub left: Vec<f64>,
    /// Requests denied though the bank had had tokens for longer than a call takes.
    pub denied_in_plenty: u64,
    /// Result about permits, if there is a concurrency limit.
    pub permits: PermitOutcome,
}

/// Watches one simulation.
pub(super) struct Watch {
    limits: Vec<Watched>,
    trip: u64,
    /// Largest jitter of two calls, in nanoseconds: one when a step of the clock is measured, and
    /// one when it is taken back.
    jitter: u64,
    outcome: Outcome,
    /// Extra buckets of processes that are alone.
    alone: HashMap<usize, Vec<ExtraNumber>>,
}

struct Watched {
    terms: Terms,
    bound: Bound,
    plain: Bound,
    ideal: Bound,
    /// The bank's last record.
    record: Record,
    /// Time of the last loss of data, and the tokens in hand then.
    lost: Option<(u64, f64)>,
    /// Bound of the requests admitted since the last loss of data.
    since_loss: Option<Bound>,
    /// Requests that the limit before a change allows on top, until the change was reported to the
    /// bank.
    unreported: Option<ExtraNumber>,
    /// Time since which the bank has had a token.
    available: Option<u64>,
}

impl Watch {
    pub(super) fn new(limits: &[Terms], network: Network) -> Self {
        let limits = limits.iter().map(|&terms| {
            let bound = Bound::new(terms.rate(), terms.burst as f64);
            let record = Record { level: terms.burst as f64, held: 0.0 };
            Watched {
                terms,
                ideal: bound.clone(),
                plain: bound.clone(),
                bound,
                record,
                lost: None,
                since_loss: None,
                unreported: None,
                available: Some(0),
            }
        });
        let trip = 2 * network.most + 3 * TICK + LOOKS_AGAIN;
        let jitter = 2 * (network.most - network.least);
        Self { limits: limits.collect(), trip, jitter, outcome: Outcome::default(), alone: HashMap::new() }
    }

    /// The limits as they are now.
    pub(super) fn terms(&self) -> impl Iterator<Item = Terms> {
        self.limits.iter().map(|limit| limit.terms)
    }

    pub(super) fn outcome(self) -> Outcome {
        let most = |overshoot: fn(&Watched) -> f64| self.limits.iter().map(overshoot).fold(0.0, f64::max);
        let minted = most(|limit| limit.since_loss.as_ref().map_or(0.0, Bound::overshoot));
        Outcome {
            overshoot: most(|limit| limit.bound.overshoot()),
            plain_overshoot: most(|limit| limit.plain.overshoot()),
            left: self.limits.iter().map(|limit| limit.record.level + limit.record.held).collect(),
            minted: minted.max(self.outcome.minted),
            ..self.outcome
        }
    }
}

// === requests ===

impl Watch {
    pub(super) fn offered(&mut self, now: u64) {
        self.outcome.offered += 1;
        if self.limits.iter_mut().all(|limit| limit.ideal.level(now) >= 1.0) {
            self.limits.iter_mut().for_each(|limit| limit.ideal.admit(now));
            self.outcome.ideal += 1;
        }
    }

    pub(super) fn decided(&mut self, verdict: Verdict, now: u64) {
        match verdict {
            Verdict::Admitted => {
                self.outcome.admitted += 1;
                for limit in &mut self.limits {
                    limit.bound.admit(now);
                    limit.plain.admit(now);
                    if let Some(since_loss) = &mut limit.since_loss {
                        since_loss.admit(now);
                    }
                }
            }
            Verdict::Waits => self.outcome.waited += 1,
            Verdict::Denied => {
                let has_plenty = |limit: &Watched| limit.available.is_some_and(|since| since + self.trip < now);
                self.outcome.denied_in_plenty += u64::from(self.limits.iter().all(has_plenty));
            }
        }
    }

    pub(super) fn remaining(&mut self, gateway: &Gateway, now: u64) {
        for (index, limit) in self.limits.iter_mut().enumerate() {
            let above = gateway.shown(index, now) as f64 - limit.bound.level(now);
            self.outcome.remaining_excess = self.outcome.remaining_excess.max(above);
        }
    }
}

// === the bank ===

impl Watch {
    pub(super) fn called(&mut self) {
        self.outcome.calls += 1;
    }

    pub(super) fn at_bank(&mut self, limit: usize, record: Option<&Record>, now: u64) {
        let Some(record) = record else {
            return;
        };
        let Record { level, held } = *record;
        let limit = &mut self.limits[limit];
        limit.bound.level(now);
        self.outcome.bank_excess = self.outcome.bank_excess.max(level - (limit.bound.most() - held).max(0.0));
        self.outcome.deepest_debt = self.outcome.deepest_debt.max(-level / limit.terms.burst as f64);
        limit.record = record.clone();
        let full = limit.terms.burst as f64 - held;
        limit.available = if level >= 1.0 {
            Some(limit.available.map_or(now, |since| since.min(now)))
        } else if full >= 1.0 {
            Some(now + nanos((1.0 - level) / limit.terms.rate()))
        } else {
            None
        };
    }

    /// Notes a loss of data: tokens in hand may be spent once more.
    pub(super) fn lost(&mut self, now: u64) {
        for limit in &mut self.limits {
            // Tokens forgotten a moment ago may still be in hand and not reported yet.
            let left = limit.bound.level(now).max(0.0);
            let unknown = limit.lost.filter(|(at, _)| at + 2 * LEASE > now).map_or(0.0, |(_, held)| held);
            let held = limit.record.held + unknown;
            limit.lost = Some((now, held));
            limit.bound.allow((held, held), 0.0, now, now + 2 * LEASE);
            limit.available = None;
            if let Some(before) = limit.since_loss.replace(Bound::refilling(limit.terms.rate(), left + held, now)) {
                self.outcome.minted = self.outcome.minted.max(before.overshoot());
            }
        }
    }

    /// Notes a step of the clock of Redis.
    pub(super) fn stepped(&mut self, by: i64, now: u64) {
        if by > 0 {
            for limit in &mut self.limits {
                let is_new = limit.lost.is_some_and(|(at, _)| at + LOST_SHORTLY > now);
                let unnoticed = if is_new { STEP_AFTER_LOSS } else { STEP_UNNOTICED };
                let gained = limit.terms.rate() * (unnoticed + self.jitter) as f64;
                limit.bound.allow((gained, gained), 0.0, now, FOREVER);
            }
        }
    }

    pub(super) fn changed(&mut self, limit: usize, terms: Terms, now: u64) {
        let limit = &mut self.limits[limit];
        let (before, rate) = (limit.terms.burst as f64, limit.terms.rate());
        limit.unreported = Some(limit.bound.allow((before, before), rate, now, now + LEASE + Network::LATEST));
        limit.bound.change(terms.rate(), terms.burst as f64, now);
        limit.plain.change(terms.rate(), terms.burst as f64, now);
        limit.ideal.change(terms.rate(), terms.burst as f64, now);
        limit.terms = terms;
    }

    /// Notes that a gateway has reported the changed limit to the bank.
    pub(super) fn reported(&mut self, limit: usize, now: u64) {
        let limit = &mut self.limits[limit];
        if let Some(number) = limit.unreported.take() {
            limit.bound.refill_extra(number, 0.0, now);
        }
    }

    /// Notes that a gateway goes on without the bank, or has it back. If all gateways do
    /// (`is_shared`), its refill is a part of the whole; else it is on top of the bank's grants.
    pub(super) fn alone(&mut self, process: usize, gateway: &Gateway, is_shared: bool, now: u64) {
        self.crashed(process, now);
        let Some(gateways) = gateway.alone() else {
            return;
        };
        let allowed = self.limits.iter_mut().enumerate().map(|(index, limit)| {
            let tokens = gateway.remaining(index, now) - gateway.in_hand(index, now);
            let most = (limit.terms.burst as f64 / gateways as f64).max(1.0);
            let rate = if is_shared { 0.0 } else { limit.terms.rate() / gateways as f64 };
            limit.bound.allow((tokens as f64 + 1.0, most + 1.0), rate, now, FOREVER)
        });
        self.alone.insert(process, allowed.collect());
    }

    /// Notes that the bank is back and this gateway does not know yet.
    pub(super) fn still_alone(&mut self, process: usize, gateways: u64, now: u64) {
        for (limit, number) in self.limits.iter_mut().zip(self.alone.get(&process).into_iter().flatten()) {
            limit.bound.refill_extra(*number, limit.terms.rate() / gateways as f64, now);
        }
    }

    /// Ends the extra buckets of a process that was alone.
    pub(super) fn crashed(&mut self, process: usize, now: u64) {
        for (limit, number) in self.limits.iter_mut().zip(self.alone.remove(&process).unwrap_or_default()) {
            limit.bound.end(number, now);
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
fn nanos(nanos: f64) -> u64 {
    nanos as u64
}
