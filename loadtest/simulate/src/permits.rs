//! What is watched of a limit on requests under way: that at no time there are more of them than it allows.

use gateway::limit::bank::LEASE;

use super::schedule::{Concurrency, Network};

/// Watches the requests under way of one world.
pub(super) struct PermitWatch {
    limit: u64,
    /// The highest earlier limit that a gateway may still go by, and until when.
    before: Option<(u64, u64)>,
    processes: Vec<Process>,
    seen: PermitOutcome,
    /// When somebody began or ended last.
    at: u64,
}

/// What was seen of requests under way.
#[derive(Debug, Clone, Copy, Default)]
pub struct PermitOutcome {
    /// By how many there were too many when one began that was not admitted alone. Those of gateways that were alone a
    /// moment ago do not count: the bank has yet to hear of them.
    pub excess: u64,
    /// The most of all gateways at once.
    pub most: u64,
    /// The sum over all of the time that they took, in nanoseconds.
    pub nanos: u64,
    /// How many are under way in the end.
    pub left: u64,
}

#[derive(Clone, Copy, Default)]
struct Process {
    in_use: u64,
    lives: bool,
    is_alone: bool,
    /// From when on the bank has heard of all that it admitted alone.
    is_known_from: u64,
}

impl PermitWatch {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        Self { limit: concurrency.limit, before: None, processes: Vec::new(), seen: PermitOutcome::default(), at: 0 }
    }

    pub(super) fn started(&mut self) {
        self.processes.push(Process { lives: true, is_alone: true, ..Process::default() });
    }

    /// A gateway is alone, or not, from now on.
    pub(super) fn alone(&mut self, process: usize, is_alone: bool, now: u64) {
        let process = &mut self.processes[process];
        if process.is_alone && !is_alone && process.in_use > 0 {
            process.is_known_from = now + LEASE;
        }
        process.is_alone = is_alone;
    }

    pub(super) fn began(&mut self, process: usize, now: u64) {
        self.pass(now);
        self.processes[process].in_use += 1;
        self.seen.most = self.seen.most.max(self.all());
        if !self.processes[process].is_alone {
            let is_known = |other: &Process| other.lives && !other.is_alone && other.is_known_from <= now;
            let known: u64 = self.processes.iter().filter(|other| is_known(other)).map(|other| other.in_use).sum();
            let before = self.before.filter(|(_, until)| now < *until).map_or(0, |(limit, _)| limit);
            self.seen.excess = self.seen.excess.max(known.saturating_sub(self.limit + before));
        }
    }

    pub(super) fn ended(&mut self, process: usize, now: u64) {
        self.pass(now);
        let process = &mut self.processes[process];
        process.in_use = process.in_use.saturating_sub(1);
    }

    pub(super) fn crashed(&mut self, process: usize, now: u64) {
        self.pass(now);
        self.processes[process] = Process::default();
    }

    pub(super) fn changed(&mut self, limit: u64, now: u64) {
        // Who has not heard of the change before this one may go by what was the limit then.
        let before = self.before.filter(|(_, until)| now < *until).map_or(0, |(limit, _)| limit);
        self.before = Some((before.max(self.limit), now + LEASE + Network::LATEST));
        self.limit = limit;
    }

    pub(super) fn outcome(&mut self, now: u64) -> PermitOutcome {
        self.pass(now);
        PermitOutcome { left: self.all(), ..self.seen }
    }

    fn pass(&mut self, now: u64) {
        self.seen.nanos += self.all() * (now - self.at);
        self.at = now;
    }

    fn all(&self) -> u64 {
        self.processes.iter().map(|process| process.in_use).sum()
    }
}
