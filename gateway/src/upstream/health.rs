//! Checks the servers of an upstream for as long as it is in use, and tells what changed.

use std::sync::{Arc, Weak};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{Upstream, probe::Probe, server::Server, standing::Verdict};

/// The servers of one round of checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    All,
    /// Only servers that are new.
    Unknown,
}

/// Checks each server once per interval, and new ones as soon as they are known.
pub(super) async fn keep_checking(upstream: Weak<Upstream>, probe: Arc<dyn Probe>, wake: Arc<Notify>) {
    let mut round = Round::All;
    while let Some(current) = upstream.upgrade() {
        let interval = current.settings().health.interval;
        current.check(&probe, round).await;
        drop(current);
        let pause = sleep(interval);
        tokio::select! {
            () = pause => round = Round::All,
            () = wake.notified() => round = Round::Unknown,
        }
    }
}

impl Upstream {
    /// Checks servers at the same time, and takes each outcome as it comes.
    async fn check(&self, probe: &Arc<dyn Probe>, round: Round) {
        let mut checks = JoinSet::new();
        for server in &self.pool().servers {
            if round == Round::Unknown && server.verdict() != Verdict::Unknown {
                continue;
            }
            let (server, settings, probe) = (Arc::clone(server), Arc::clone(self.settings()), Arc::clone(probe));
            checks.spawn(async move {
                let check = timeout(settings.health.timeout, probe.check(&server, &settings)).await;
                let late = || Err(format!("no answer within {} ms", settings.health.timeout.as_millis()));
                let outcome = check.unwrap_or_else(|_| late());
                (server, outcome)
            });
        }
        while let Some(checked) = checks.join_next().await {
            // A check that panicked says nothing about its server.
            if let Ok((server, outcome)) = checked {
                self.take_check(&server, outcome);
            }
        }
    }

    pub(super) fn take_check(&self, server: &Arc<Server>, outcome: Result<(), String>) {
        let Some(before) = server.observe(outcome, &self.settings().health) else { return };
        self.change_servers(|_| (true, ()));
        let standing = server.standing();
        let (upstream, configured, address) = (&*self.settings().name, &server.configured, server.address);
        match (before, standing.verdict) {
            (_, Verdict::Down) => {
                let reason = standing.failure.as_deref();
                warn!(event = "server_down", upstream, server = %configured, %address, reason);
            }
            (Verdict::Down, _) => info!(event = "server_up", upstream, server = %configured, %address),
            _ => {}
        }
    }
}
