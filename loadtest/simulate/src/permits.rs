//! Watches a concurrency limit: never more permits in use than it allows.

use gateway::limit::bank::LEASE;

use super::schedule::{Concurrency, Network};

/// Watches the permits of one simulation.
pub(super) struct PermitWatch {
    limit: u64,
    /// The highest earlier limit that a gateway may still use, and the time until which it may.
    before: Option<(u64, u64)>,
    processes: Vec<Process>,
    seen: PermitOutcome,
    /// Time at which a permit was last taken or released.
    at: u64,
}

/// Result of the watch.
#[derive(Debug, Clone, Copy, Default)]
pub struct PermitOutcome {
    /// Most permits above the limit when a gateway that reaches the bank took one. Permits of
    /// gateways that were alone a moment ago do not count, because the bank does not know of them
    /// yet.
    pub excess: u64,
    /// Most permits in use at once at all gateways.
    pub most: u64,
    /// Sum of the times for which permits were in use, in nanoseconds.
    pub nanos: u64,
    /// Permits in use in the end.
    pub left: u64,
}

#[derive(Clone, Copy, Default)]
struct Process {
    in_use: u64,
    lives: bool,
    is_alone: bool,
    /// Time from which on the bank knows of all permits that the gateway took alone.
    is_known_from: u64,
}

impl PermitWatch {
    pub(super) fn new(concurrency: Concurrency) -> Self {
        Self { limit: concurrency.limit, before: None, processes: Vec::new(), seen: PermitOutcome::default(), at: 0 }
    }

    pub(super) fn started(&mut self) {
        self.processes.push(Process { lives: true, is_alone: true, ..Process::default() });
    }

    /// Notes that a gateway goes on without the bank, or has it back.
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
        // A gateway that has not heard of the change before this one may still use the limit of
        // then.
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
