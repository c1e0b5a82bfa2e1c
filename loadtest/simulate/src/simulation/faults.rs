//! The faults of a simulation.

use super::{Event, Packet, Simulation};
use crate::schedule::{Fault, Terms};

impl Simulation {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.redis.set_time(self.now);
        match fault {
            Fault::Crash { gateway } => {
                let place = gateway % self.places.len();
                let process = self.places[place];
                self.processes[process].lives = false;
                self.watch.crashed(process, self.now);
                if let Some(permits) = &mut self.permits {
                    permits.crashed(process, self.now);
                }
                self.places[place] = self.processes.len();
                self.start();
            }
            Fault::Join => self.join(),
            Fault::Partition { gateway, lasts } => {
                let process = self.places[gateway % self.places.len()];
                self.processes[process].cut_until = self.now + lasts;
            }
            Fault::Down { lasts } => {
                self.down_until = self.now + lasts;
                self.at(self.down_until, Event::OutageEnds);
            }
            Fault::Paused { lasts } => {
                self.paused_until = self.now + lasts;
                self.at(self.paused_until, Event::OutageEnds);
            }
            Fault::Flush => {
                self.watch.lost(self.now);
                self.redis.flush();
            }
            Fault::FailOver { lag } => {
                self.watch.lost(self.now);
                self.redis.fail_over(lag);
                self.break_connections();
            }
            Fault::ClockStep { by } => {
                self.watch.stepped(by, self.now);
                self.redis.step_clock(by);
            }
            Fault::Change { limit, terms } => match limit.checked_rem(self.schedule.limits.len()) {
                Some(limit) => self.change(limit, terms),
                None => self.change_concurrency(terms.limit),
            },
        }
    }

    pub(super) fn end_outage(&mut self) {
        for (number, process) in self.processes.iter().enumerate() {
            if let Some(gateways) = process.gateway.alone() {
                self.watch.still_alone(number, gateways, self.now);
            }
        }
    }

    /// Ends all connections: pending calls are not answered, and a gateway notices at its next
    /// call.
    fn break_connections(&mut self) {
        let is_lost = |event: &Event| matches!(event, Event::AtServer { .. } | Event::Answer { .. });
        let lost: Vec<_> = self.events.extract_if(.., |_, event| is_lost(event)).collect();
        self.processes.iter_mut().for_each(|process| process.is_disconnected = true);
        for (_, event) in lost {
            if let Event::AtServer { process, packet: Packet { sequence, .. } }
            | Event::Answer { process, sequence, .. } = event
            {
                self.processes[process].is_disconnected = false;
                self.at(self.now, Event::Failure { process, sequence });
            }
        }
    }

    fn change(&mut self, limit: usize, terms: Terms) {
        self.schedule.limits[limit] = terms;
        self.watch.changed(limit, terms, self.now);
        self.processes.iter_mut().for_each(|process| process.gateway.change(limit, terms.as_rate()));
    }

    fn change_concurrency(&mut self, limit: u64) {
        if let (Some(concurrency), Some(permits)) = (&mut self.schedule.concurrency, &mut self.permits) {
            concurrency.limit = limit;
            permits.changed(limit, self.now);
            self.processes.iter_mut().for_each(|process| process.gateway.limit_concurrency(limit));
        }
    }
}
