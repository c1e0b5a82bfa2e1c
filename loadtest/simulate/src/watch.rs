//! What is watched in a world: that the bound holds, and how well the allowance is used.

use std::collections::HashMap;

use gateway::limit::bank::LEASE;

use super::{
    bound::{Bound, ExtraNumber},
    gateway::{Gateway, TICK, Verdict},
    permits::PermitOutcome,
    redis::Record,
    schedule::{Network, Terms},
};

/// What a set clock may gain before the bank notices, in nanoseconds, beside what calls travel faster than those before
/// them: the bank compares its clock with the caller's.
const STEP_UNNOTICED: u64 = 50_000_000;

/// What a set clock may gain if the bank has lost its data shortly before, in nanoseconds: it knows no caller's clock then,
/// as of a gateway that has just started.
const STEP_AFTER_LOSS: u64 = 2_000_000_000;

/// For how long a loss of data counts as shortly before, in nanoseconds: until every gateway has called twice.
const LOST_SHORTLY: u64 = 3_000_000_000;

/// After how long a gateway asks again at the latest, if the bank has nothing but others hold some, in nanoseconds.
const LOOKS_AGAIN: u64 = 100_000_000;

/// Until the end of the world.
const FOREVER: u64 = u64::MAX;

/// What was seen of a world.
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
    /// The most that was admitted above the bound, over any stretch of time.
    pub overshoot: f64,
    /// The same without what the failures that happened allow on top.
    pub plain_overshoot: f64,
    /// The most that the bank had to give above what is not in any hand.
    pub bank_excess: f64,
    /// The deepest debt that the bank kept of a limit, as a part of its burst.
    pub deepest_debt: f64,
    /// By how much `remaining` was above what was left.
    pub remaining_excess: f64,
    /// The most that was admitted since a loss of data above what was left then, what was in all hands and what refilled
    /// since.
    pub minted: f64,
    /// What is left of each limit in the end: at the bank and in all hands.
    pub left: Vec<f64>,
    /// Requests denied though the bank had had tokens for longer than a call takes.
    pub denied_in_plenty: u64,
    /// Of requests under way, if they are limited.
    pub permits: PermitOutcome,
}

/// Watches one world.
pub(super) struct Watch {
    limits: Vec<Watched>,
    trip: u64,
    /// What calls may travel faster than those before them, in nanoseconds: one call when the step is measured, and one
    /// when it is taken back.
    jitter: u64,
    outcome: Outcome,
    /// What is allowed to processes that are alone.
    alone: HashMap<usize, Vec<ExtraNumber>>,
}

struct Watched {
    terms: Terms,
    bound: Bound,
    plain: Bound,
    ideal: Bound,
    /// What the bank last stored.
    record: Record,
    /// When the bank last forgot what was in all hands, and how much that was.
    lost: Option<(u64, f64)>,
    /// What could be admitted since the last loss of data.
    since_loss: Option<Bound>,
    /// What the limit as it was allows on top, until the bank has been told of the change.
    untold: Option<ExtraNumber>,
    /// Since when the bank has had a token.
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
                untold: None,
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
            let above = gateway.told(index, now) as f64 - limit.bound.level(now);
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

    /// The bank forgot what it granted: what is in all hands may be spent once more.
    pub(super) fn lost(&mut self, now: u64) {
        for limit in &mut self.limits {
            // What was forgotten a moment ago may still be in some hand, and nobody has told of it yet.
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

    /// The clock of Redis was set.
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
        limit.untold = Some(limit.bound.allow((before, before), rate, now, now + LEASE + Network::LATEST));
        limit.bound.change(terms.rate(), terms.burst as f64, now);
        limit.plain.change(terms.rate(), terms.burst as f64, now);
        limit.ideal.change(terms.rate(), terms.burst as f64, now);
        limit.terms = terms;
    }

    /// A gateway has told the bank the limit as it is now.
    pub(super) fn told(&mut self, limit: usize, now: u64) {
        let limit = &mut self.limits[limit];
        if let Some(number) = limit.untold.take() {
            limit.bound.refill_extra(number, 0.0, now);
        }
    }

    /// A gateway went its own way, or came back. If all did (`is_shared`), what refills for it is a part of the whole;
    /// else it is on top of what the bank grants.
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

    /// The bank is there again, and this gateway does not know yet.
    pub(super) fn still_alone(&mut self, process: usize, gateways: u64, now: u64) {
        for (limit, number) in self.limits.iter_mut().zip(self.alone.get(&process).into_iter().flatten()) {
            limit.bound.refill_extra(*number, limit.terms.rate() / gateways as f64, now);
        }
    }

    /// What was allowed to a process that was alone ends.
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
