//! Other ways to share a limit, on the same requests and faults: buckets that count locally, and
//! synchronize later or never.

use std::collections::BTreeMap;

use super::{
    Bound,
    schedule::{Fault, Schedule, Terms},
    shape::Arrivals,
};

/// A way to hold a limit without a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// Each gateway has the whole limit.
    Local,
    /// Each gateway counts, and reports to the others from time to time.
    Deltas {
        /// Nanoseconds between two reports.
        every: u64,
    },
    /// Each gateway has an equal part of the limit.
    Parts,
}

/// Result of a schedule with a rival.
#[derive(Debug, Clone, Copy)]
pub struct RivalOutcome {
    /// Requests that one bucket would have admitted.
    pub ideal: u64,
    /// Requests admitted.
    pub admitted: u64,
    /// Most requests admitted above the limit over any stretch of time.
    pub overshoot: f64,
}

struct Local {
    level: f64,
    at: u64,
    /// Requests admitted and not reported yet.
    unreported: f64,
    /// Requests that all gateways have reported, as far as this one knows.
    known: f64,
    syncs_at: u64,
    cut_until: u64,
}

struct Run {
    rival: Rival,
    rate: f64,
    burst: f64,
    gateways: Vec<Local>,
    /// Requests that all gateways have reported.
    total: f64,
    away_until: u64,
}

impl Rival {
    /// Runs a schedule of one limit.
    pub fn run(self, schedule: &Schedule, terms: Terms) -> RivalOutcome {
        let parts = if self == Self::Parts { schedule.gateways as f64 } else { 1.0 };
        let (rate, burst) = (terms.rate() / parts, terms.burst as f64 / parts);
        let mut run = Run { rival: self, rate, burst, gateways: Vec::new(), total: 0.0, away_until: 0 };
        (0..schedule.gateways).for_each(|_| run.join(0));
        let mut faults = schedule.faults.iter().copied().collect::<BTreeMap<_, _>>();
        let mut arrivals = Arrivals::new(schedule);
        let mut bound = Bound::new(terms.rate(), terms.burst as f64);
        let mut ideal = bound.clone();
        let mut outcome = RivalOutcome { ideal: 0, admitted: 0, overshoot: 0.0 };
        while let Some((now, place)) = arrivals.next(run.gateways.len()) {
            while let Some(entry) = faults.first_entry().filter(|entry| *entry.key() <= now) {
                let (at, fault) = entry.remove_entry();
                run.inject(fault, at);
            }
            if ideal.level(now) >= 1.0 {
                ideal.admit(now);
                outcome.ideal += 1;
            }
            if run.admits(place, now) {
                bound.admit(now);
                outcome.admitted += 1;
            }
        }
        RivalOutcome { overshoot: bound.overshoot(), ..outcome }
    }
}

impl Run {
    fn join(&mut self, now: u64) {
        self.gateways.push(self.start(self.gateways.len() as u64, now));
    }

    fn start(&self, place: u64, now: u64) -> Local {
        let Rival::Deltas { every } = self.rival else {
            return Local { level: self.burst, at: now, unreported: 0.0, known: 0.0, syncs_at: u64::MAX, cut_until: 0 };
        };
        // Gateways do not all report at the same moment.
        let syncs_at = now + every * (place % 10 + 1) / 10;
        Local { level: self.burst, at: now, unreported: 0.0, known: self.total, syncs_at, cut_until: 0 }
    }

    fn admits(&mut self, place: usize, now: u64) -> bool {
        self.sync(now);
        let local = &mut self.gateways[place];
        local.refill(self.rate, self.burst, now);
        let admits = local.level >= 1.0;
        if admits {
            local.level -= 1.0;
            local.unreported += 1.0;
        }
        admits
    }

    fn sync(&mut self, now: u64) {
        let Rival::Deltas { every } = self.rival else {
            return;
        };
        for local in &mut self.gateways {
            while local.syncs_at <= now {
                let at = local.syncs_at;
                local.syncs_at += every;
                if at < self.away_until.max(local.cut_until) {
                    continue;
                }
                local.refill(self.rate, self.burst, at);
                local.level -= (self.total - local.known).max(0.0);
                self.total += std::mem::take(&mut local.unreported);
                local.known = self.total;
            }
        }
    }

    fn inject(&mut self, fault: Fault, now: u64) {
        self.sync(now);
        match fault {
            Fault::Crash { gateway } => {
                let place = gateway % self.gateways.len();
                self.gateways[place] = self.start(place as u64, now);
            }
            Fault::Join => self.join(now),
            Fault::Partition { gateway, lasts } => {
                let place = gateway % self.gateways.len();
                self.gateways[place].cut_until = now + lasts;
            }
            Fault::Down { lasts } | Fault::Paused { lasts } => self.away_until = now + lasts,
            Fault::Flush => self.total = 0.0,
            // A lagging replica loses no report here; clocks play no part, and limits do not
            // change.
            Fault::FailOver { .. } | Fault::ClockStep { .. } | Fault::Change { .. } => {}
        }
    }
}

impl Local {
    fn refill(&mut self, rate: f64, burst: f64, now: u64) {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.level = (self.level + rate * elapsed).min(burst);
        self.at = self.at.max(now);
    }
}
