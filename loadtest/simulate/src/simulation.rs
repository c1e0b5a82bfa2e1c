//! A simulation of gateways, a network and one Redis, on one simulated clock. It is a queue of
//! events in the order of their times; whatever is left to chance comes from one seed, so that a
//! schedule always runs the same way.

mod faults;

use std::collections::BTreeMap;

use gateway::limit::bank::Debit;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    gateway::{Gateway, MAX_WAIT, Packet, TIMEOUT, Verdict},
    permits::PermitWatch,
    redis::{Redis, Reply, ScriptError},
    schedule::{Fault, Network, Schedule, Terms},
    shape::Arrivals,
    watch::{Outcome, Watch},
};

/// Largest difference between the clocks of gateways, in nanoseconds: each starts with its machine.
const ORIGINS: u64 = 3_600_000_000_000;

/// Longest time until a request puts its tokens back, in nanoseconds.
const UNDONE_AFTER: u64 = 5_000_000;

/// A running simulation.
pub struct Simulation {
    schedule: Schedule,
    random: StdRng,
    arrivals: Arrivals,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    redis: Redis,
    /// Names of the limits.
    names: Vec<String>,
    /// Every process that ever ran.
    processes: Vec<Process>,
    /// The process that serves at each place.
    places: Vec<usize>,
    watch: Watch,
    permits: Option<PermitWatch>,
    /// The bank has answered a call.
    used: bool,
    down_until: u64,
    paused_until: u64,
}

struct Process {
    gateway: Gateway,
    lives: bool,
    cut_until: u64,
    /// Its connection ended; the next call fails.
    is_disconnected: bool,
    /// Its first call was answered or failed. From then on it gets load.
    is_ready: bool,
    /// Time of its next wake-up.
    wakes: Option<u64>,
}

enum Event {
    Request {
        place: usize,
    },
    /// A call may be due.
    Wake {
        process: usize,
    },
    /// A request may have waited too long.
    GiveUp {
        process: usize,
    },
    AtServer {
        process: usize,
        packet: Packet,
    },
    Answer {
        process: usize,
        sequence: u64,
        reply: Reply,
    },
    Failure {
        process: usize,
        sequence: u64,
    },
    /// An admitted request ends.
    Ends {
        process: usize,
    },
    /// A request puts its tokens back.
    PutBack {
        process: usize,
        debit: Debit,
        taken: u64,
    },
    Fault(Fault),
    OutageEnds,
}

impl Simulation {
    /// Runs a schedule with `script` as the bank.
    pub fn run(schedule: Schedule, script: &str) -> Result<Outcome, ScriptError> {
        let mut simulation = Self {
            random: StdRng::seed_from_u64(schedule.seed),
            arrivals: Arrivals::new(&schedule),
            now: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            redis: Redis::new(script)?,
            names: (0..schedule.limits.len()).map(Gateway::limit_name).collect(),
            processes: Vec::new(),
            places: Vec::new(),
            watch: Watch::new(&schedule.limits, schedule.network),
            permits: schedule.concurrency.map(PermitWatch::new),
            used: false,
            down_until: 0,
            paused_until: 0,
            schedule,
        };
        (0..simulation.schedule.gateways).for_each(|_| simulation.join());
        simulation.expect_request();
        for (at, fault) in simulation.schedule.faults.clone() {
            simulation.at(at, Event::Fault(fault));
        }
        while let Some(((at, _), event)) = simulation.events.pop_first() {
            if at > simulation.schedule.ends {
                break;
            }
            simulation.now = at;
            simulation.handle(event)?;
        }
        let permits = simulation.permits.as_mut().map(|permits| permits.outcome(simulation.now)).unwrap_or_default();
        Ok(Outcome { permits, ..simulation.watch.outcome() })
    }

    fn at(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    fn handle(&mut self, event: Event) -> Result<(), ScriptError> {
        match event {
            Event::Request { place } => self.request(place),
            Event::Wake { process } => self.wake(process),
            Event::GiveUp { process } => self.decide(process, false),
            Event::AtServer { process, packet } => self.serve(process, packet)?,
            Event::Answer { process, sequence, reply } => {
                let now = self.now;
                self.hear(process, |gateway| gateway.answered(sequence, &reply, now));
            }
            Event::Failure { process, sequence } => {
                let now = self.now;
                self.hear(process, |gateway| gateway.failed(sequence, now));
            }
            Event::Ends { process } => self.end(process),
            Event::PutBack { process, debit, taken } => {
                self.processes[process].gateway.put_back(0, debit, self.now - taken);
            }
            Event::Fault(fault) => self.inject(fault),
            Event::OutageEnds => self.end_outage(),
        }
        Ok(())
    }
}

// === gateways ===

impl Simulation {
    fn join(&mut self) {
        self.places.push(self.processes.len());
        self.start();
    }

    fn start(&mut self) {
        let process = self.processes.len();
        let limits: Vec<_> = self.names.iter().cloned().zip(self.watch.terms().map(Terms::as_rate)).collect();
        let origin = self.random.random_range(0..ORIGINS);
        // Its first twelve digits are its id at the bank.
        let name = format!("{:012x}{:020x}", process + 1, self.schedule.seed);
        let mut gateway = Gateway::new(name, origin, &limits, self.schedule.configured, !self.used);
        if let (Some(concurrency), Some(permits)) = (self.schedule.concurrency, &mut self.permits) {
            gateway.limit_concurrency(concurrency.limit);
            permits.started();
        }
        self.processes.push(Process {
            gateway,
            lives: true,
            cut_until: 0,
            is_disconnected: false,
            is_ready: false,
            wakes: None,
        });
        let soon = self.now + self.random.random_range(0..10_000_000);
        self.wake_at(process, soon);
    }

    fn expect_request(&mut self) {
        if let Some((at, place)) = self.arrivals.next(self.places.len()) {
            self.at(at, Event::Request { place });
        }
    }

    /// A request arrives at a place, or at the next one that is ready.
    fn request(&mut self, place: usize) {
        self.expect_request();
        let places = self.places[place..].iter().chain(&self.places[..place]);
        let Some(&process) = places.into_iter().find(|process| self.processes[**process].is_ready) else {
            return;
        };
        let gateway = &mut self.processes[process].gateway;
        if self.random.random_bool(self.schedule.undone) {
            if let Some(debit) = gateway.take(0, self.now) {
                let later = self.now + self.random.random_range(0..UNDONE_AFTER);
                self.at(later, Event::PutBack { process, debit, taken: self.now });
            }
            return self.plan(process);
        }
        self.watch.offered(self.now);
        let verdict = gateway.request((0..self.names.len()).collect(), self.now);
        self.watch.decided(verdict, self.now);
        self.watch.remaining(gateway, self.now);
        if verdict == Verdict::Waits {
            self.at(self.now + MAX_WAIT, Event::GiveUp { process });
        }
        self.begin(process, verdict);
        self.plan(process);
    }

    /// Holds the permit of an admitted request for a while.
    fn begin(&mut self, process: usize, verdict: Verdict) {
        if let (Verdict::Admitted, Some(concurrency), Some(permits)) =
            (verdict, self.schedule.concurrency, &mut self.permits)
        {
            permits.began(process, self.now);
            let ends = self.now + self.random.random_range(0..concurrency.longest);
            self.at(ends, Event::Ends { process });
        }
    }

    fn end(&mut self, process: usize) {
        if let (Process { gateway, lives: true, .. }, Some(permits)) = (&self.processes[process], &mut self.permits) {
            gateway.end();
            permits.ended(process, self.now);
        }
    }

    /// Wakes a process when its next call is due.
    fn plan(&mut self, process: usize) {
        if let Some(next) = self.processes[process].gateway.next_at() {
            self.wake_at(process, next.max(self.now));
        }
    }

    fn wake_at(&mut self, process: usize, at: u64) {
        let wakes = &mut self.processes[process].wakes;
        if wakes.is_none_or(|wakes| wakes > at) {
            *wakes = Some(at);
            self.at(at, Event::Wake { process });
        }
    }

    fn wake(&mut self, process: usize) {
        let woken = &mut self.processes[process];
        if !woken.lives || woken.wakes.take_if(|wakes| *wakes == self.now).is_none() {
            return;
        }
        if let Some(packet) = woken.gateway.call(self.now) {
            self.watch.called();
            if std::mem::take(&mut woken.is_disconnected) {
                self.at(self.now, Event::Failure { process, sequence: packet.sequence });
            } else {
                self.send(process, packet);
            }
        }
        self.plan(process);
    }

    /// Hands a gateway the answer to its call, or the failure of the call.
    fn hear(&mut self, process: usize, what: impl FnOnce(&mut Gateway) -> bool) {
        let Process { gateway, lives: true, is_ready, .. } = &mut self.processes[process] else {
            return;
        };
        let before = gateway.alone().filter(|_| *is_ready);
        if !what(gateway) {
            return;
        }
        *is_ready = true;
        if let Some(permits) = &mut self.permits {
            permits.alone(process, gateway.alone().is_some(), self.now);
        }
        if gateway.alone() != before {
            let is_away = self.now < self.down_until.max(self.paused_until);
            let knows_all = gateway.alone().is_some_and(|gateways| gateways >= self.places.len() as u64);
            self.watch.alone(process, gateway, is_away && knows_all, self.now);
        }
        self.decide(process, true);
        self.plan(process);
    }

    fn decide(&mut self, process: usize, is_answered: bool) {
        let Process { gateway, lives: true, .. } = &mut self.processes[process] else {
            return;
        };
        let verdicts = gateway.decide(is_answered, self.now);
        self.watch.remaining(gateway, self.now);
        for verdict in verdicts {
            self.watch.decided(verdict, self.now);
            self.begin(process, verdict);
        }
    }
}

// === the network and Redis ===

impl Simulation {
    /// Arrival of a packet that a gateway sends now, none if it is lost.
    fn travel(&mut self, process: usize) -> Option<u64> {
        let Network { least, most, lost, late, .. } = self.schedule.network;
        if self.now < self.processes[process].cut_until || self.random.random_bool(lost) {
            return None;
        }
        let late = if self.random.random_bool(late) { self.random.random_range(0..Network::LATEST) } else { 0 };
        Some(self.now + self.random.random_range(least..=most) + late)
    }

    fn send(&mut self, process: usize, packet: Packet) {
        self.at(self.now + TIMEOUT, Event::Failure { process, sequence: packet.sequence });
        if self.random.random_bool(self.schedule.network.repeated) {
            let later = self.now + self.random.random_range(0..Network::LATEST);
            self.at(later, Event::AtServer { process, packet: packet.clone() });
        }
        if let Some(arrives) = self.travel(process) {
            self.at(arrives, Event::AtServer { process, packet });
        }
    }

    fn serve(&mut self, process: usize, packet: Packet) -> Result<(), ScriptError> {
        if self.now < self.down_until {
            if let Some(arrives) = self.travel(process) {
                self.at(arrives, Event::Failure { process, sequence: packet.sequence });
            }
            return Ok(());
        }
        if self.now < self.paused_until {
            self.at(self.paused_until, Event::AtServer { process, packet });
            return Ok(());
        }
        self.redis.set_time(self.now);
        let reply = self.redis.run(packet.command, &packet.keys, &packet.arguments)?;
        self.used = true;
        for index in 0..self.names.len() {
            let key = Gateway::key(&self.names[index]);
            if packet.reports(&key, self.schedule.limits[index]) {
                self.watch.reported(index, self.now);
            }
            let record = self.redis.record(&key);
            self.watch.at_bank(index, record.as_ref(), self.now);
        }
        if let Some(arrives) = self.travel(process) {
            self.at(arrives, Event::Answer { process, sequence: packet.sequence, reply });
        }
        Ok(())
    }
}
