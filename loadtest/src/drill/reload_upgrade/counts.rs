//! Counts of the clients, and the figures of the whole drill.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::Serialize;

use super::changes::{Changes, GROWTH_MAX_MIB, Plan};
use crate::lock::locked;

/// Most reasons of failures that are kept of a client.
const REASONS_MAX: usize = 5;

/// Figures of a drill with reloads and upgrades.
#[derive(Debug, Clone, Serialize)]
pub struct Changeover {
    /// Reloads that took effect.
    pub reloads: u32,
    /// Processes that took over from another.
    pub upgrades: u32,
    /// Seconds that all of them took.
    pub seconds: f64,
    /// Requests by protocol.
    pub requests: BTreeMap<&'static str, ClientCounts>,
    /// Anonymous memory of the last process after the first reloads that it saw, in MiB.
    pub memory_early_mib: f64,
    /// The same after the last reload.
    pub memory_late_mib: f64,
    /// Growth that is allowed between the two, in MiB.
    pub memory_growth_max_mib: f64,
}

/// Counts of one client.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClientCounts {
    #[serde(skip)]
    pub(super) protocol: &'static str,
    /// Id of its key.
    #[serde(skip)]
    pub(super) key: String,
    /// Requests; one that was sent again counts once. Connections of WebSocket.
    pub requests: u64,
    /// Those that were answered in full; connections that were granted.
    pub answered: u64,
    /// Those that failed; connections that were refused, or cut without a close frame.
    pub failed: u64,
    /// Requests that were sent again, because GOAWAY said that they had not been taken.
    pub sent_again: u64,
    /// Connections that the gateway told to go: GOAWAY, or a close frame.
    pub told_to_go: u64,
    /// Messages that came back, of WebSocket.
    pub messages: u64,
    /// The first reasons for failures.
    #[serde(skip)]
    pub(super) reasons: Vec<String>,
}

/// Counts of a client that is still sending.
#[derive(Clone)]
pub(super) struct Tally(Arc<Mutex<ClientCounts>>);

impl Changeover {
    pub(super) fn new(plan: &Plan, elapsed: Duration, protocols: Vec<ClientCounts>, changes: &Changes) -> Self {
        let tenths = |value: f64| (value * 10.0).round() / 10.0;
        Self {
            reloads: plan.reloads,
            upgrades: plan.upgrades,
            seconds: tenths(elapsed.as_secs_f64()),
            requests: protocols.into_iter().map(|counts| (counts.protocol, counts)).collect(),
            memory_early_mib: tenths(changes.early_mib),
            memory_late_mib: tenths(changes.late_mib),
            memory_growth_max_mib: GROWTH_MAX_MIB,
        }
    }

    /// Failed requests of all clients.
    pub(super) fn failed(&self) -> u64 {
        self.requests.values().map(|counts| counts.failed).sum()
    }
}

impl ClientCounts {
    pub(super) fn of(protocol: &'static str, key: &str) -> Self {
        Self { protocol, key: key.to_owned(), ..Self::default() }
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.failed += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason);
        }
    }
}

impl Tally {
    pub(super) fn new(protocol: &'static str, key: &str) -> Self {
        Self(Arc::new(Mutex::new(ClientCounts::of(protocol, key))))
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl FnOnce(&mut ClientCounts)) {
        change(&mut locked(&self.0));
    }

    pub(super) fn counts(&self) -> ClientCounts {
        locked(&self.0).clone()
    }
}
