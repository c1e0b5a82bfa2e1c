//! The gateway's figures of its journal while load runs, and the CPU time that is used meanwhile.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use servers::within;
use tokio::time::sleep;

use super::super::error::DrillError;
use crate::{
    process_stat::{cpu_seconds, machine_cpu_seconds},
    processes::{self, GatewayProcess},
};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Longest wait for a state, beside the length of the outage itself.
const PATIENCE: Duration = Duration::from_mins(5);

/// Watches one gateway.
pub(super) struct Watch {
    admin: SocketAddr,
    gateway: u32,
    /// Largest size of the spool so far, in bytes.
    pub(super) spool_high_water: u64,
    /// Largest number of waiting entries so far.
    pub(super) entries_high_water: u64,
}

/// The gateway's figures of its journal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Journal {
    pub(super) appended: u64,
    pub(super) acknowledged: u64,
    /// Entries that are not acknowledged.
    pub(super) entries: u64,
    pub(super) spooled_bytes: u64,
}

/// CPU seconds so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) machine: f64,
    pub(super) gateway: f64,
    /// CPU of this program: client and upstream.
    pub(super) client: f64,
}

/// Journal and CPU time at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: Instant,
    pub(super) journal: Journal,
    pub(super) spent: Spent,
}

/// The beginning of each stage, and the end of the last one.
pub(super) struct Marks {
    pub(super) undisturbed: Mark,
    pub(super) away: Mark,
    pub(super) returning: Mark,
    pub(super) catching_up: Mark,
    pub(super) over: Mark,
}

impl Watch {
    pub(super) fn new(gateway: &GatewayProcess) -> Result<Self, DrillError> {
        let pid = gateway.process.pid()?;
        Ok(Self { admin: gateway.admin(), gateway: pid, spool_high_water: 0, entries_high_water: 0 })
    }

    /// Journal and CPU time at this moment.
    pub(super) async fn mark(&mut self) -> Result<Mark, DrillError> {
        let journal = self.look().await?;
        let spent = Spent {
            machine: machine_cpu_seconds()?,
            gateway: cpu_seconds(self.gateway)?,
            client: cpu_seconds(std::process::id())?,
        };
        Ok(Mark { at: Instant::now(), journal, spent })
    }

    /// Samples the journal for `duration`.
    pub(super) async fn hold(&mut self, duration: Duration) -> Result<(), DrillError> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.look().await?;
            sleep(LOOK_EVERY.min(end.saturating_duration_since(Instant::now()))).await;
        }
        Ok(())
    }

    /// Samples the journal until `is_so`. The error names the `state`.
    pub(super) async fn until(
        &mut self,
        state: &str,
        lasted: Duration,
        is_so: impl Fn(&Journal) -> bool,
    ) -> Result<(), DrillError> {
        let mut journal = Journal::default();
        let reached = within(lasted + PATIENCE, LOOK_EVERY, async || {
            journal = self.look().await?;
            Ok::<_, DrillError>(is_so(&journal))
        });
        reached.await.ok_or_else(|| DrillError::Patience(format!("{state}; it is {journal:?}")))?
    }

    async fn look(&mut self) -> Result<Journal, DrillError> {
        let metrics = processes::get(self.admin, "/metrics").await?.body;
        let journal = read(&metrics)
            .ok_or_else(|| DrillError::Patience("the gateway does not tell what its journal holds".into()))?;
        self.spool_high_water = self.spool_high_water.max(journal.spooled_bytes);
        self.entries_high_water = self.entries_high_water.max(journal.entries);
        Ok(journal)
    }
}

fn read(metrics: &str) -> Option<Journal> {
    let number = |name: &str| {
        let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse::<u64>().ok()
    };
    Some(Journal {
        appended: number("tollgate_journal_appended_total")?,
        acknowledged: number("tollgate_journal_acknowledged_total")?,
        entries: number("tollgate_journal_entries")?,
        spooled_bytes: number("tollgate_spool_bytes")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_metrics_are_read() {
        let metrics = "# HELP tollgate_journal_entries x\ntollgate_journal_entries 5\ntollgate_spool_bytes 128\n\
                       tollgate_journal_appended_total 12\ntollgate_journal_acknowledged_total 7\n";
        let journal = read(metrics).unwrap();
        assert_eq!((journal.appended, journal.acknowledged), (12, 7));
        assert_eq!((journal.entries, journal.spooled_bytes), (5, 128));
        assert!(read("tollgate_journal_entries 5\n").is_none());
    }
}
