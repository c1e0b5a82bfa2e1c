//! The sink away until the disk is full, once for each policy. The journal stands on a file system
//! of its own, small enough to fill.
//!
//! With `reject`, requests are refused and nothing is lost. With `serve_unmetered`, they are served
//! and counted as unmetered: `received <= billed + unmetered <= accepted`. With `reject`, the
//! gateway is also killed while the disk is full: it has to start again on that disk, or it could
//! never send what fills it. Rounds of load go on until the gateway shows its policy, and
//! once the sink is back, until it shows nothing of it any more.

mod disk;

use std::{net::SocketAddr, time::Duration};

use disk::SmallDisk;
use serde_json::json;
use servers::within;

use super::{
    error::DrillError,
    harm::{Times, burst, customers},
    outcome::{Drill, Outcome, close},
};
use crate::{
    deployment::{Books, Deployment, DeploymentOptions},
    load::Load,
    processes,
};

pub(super) const DRILL: Drill = Drill {
    name: "spool-full",
    about: "sink away until the disk is full, with both policies",
    faults: 2,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Size of the journal's file system: half a MiB goes to the rings, three quarters to the reserve
/// for the next start, and 6,000 records fill the rest.
const DISK_MIB: u32 = 2;

/// The gateway's budget: so large that the disk is full first. Its two rings get a quarter of it.
const BUDGET_MIB: u32 = 2;

/// Longest time until the disk is full, and until it is empty again.
const PATIENCE: Duration = Duration::from_mins(5);

/// Policy for requests once the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Reject,
    ServeUnmetered,
}

/// Requests for which the disk had no room.
#[derive(Debug, Clone, Copy, Default)]
struct Shortage {
    refused: u64,
    unmetered: u64,
}

/// Load in rounds.
struct Rounds {
    load: Load,
    admin: SocketAddr,
    books: Books,
    /// Of all rounds.
    shortage: Shortage,
}

async fn run(faults: u32, times: Times) -> Result<Outcome, DrillError> {
    let mut sum: Option<Outcome> = None;
    for fault in 0..faults {
        let policy = if fault % 2 == 0 { Policy::Reject } else { Policy::ServeUnmetered };
        let outcome = fill(policy, times).await?;
        sum = Some(match sum {
            None => outcome,
            Some(before) => Outcome {
                faults: before.faults + outcome.faults,
                at_risk: before.at_risk + outcome.at_risk,
                received: before.received + outcome.received,
                billed: before.billed + outcome.billed,
                accepted: before.accepted + outcome.accepted,
                ok: before.ok && outcome.ok,
                wrong: before.wrong.or(outcome.wrong),
                ..before
            },
        });
    }
    sum.ok_or_else(|| DrillError::Io(std::io::Error::other("there is nothing to do: name at least one fault")))
}

async fn fill(policy: Policy, times: Times) -> Result<Outcome, DrillError> {
    let disk = SmallDisk::mount(DISK_MIB)?;
    let usage = json!({
        "journal": disk.path().join("journal"),
        "journal_budget_mib": BUDGET_MIB,
        "when_full": policy.setting(),
    });
    let mut deployment = Deployment::build(DeploymentOptions { usage, ..DeploymentOptions::at_scale() }).await?;
    let customers = customers(&deployment).await?;
    let mut rounds = Rounds {
        load: Load { duration: times.margin, ..burst(&deployment, &customers) },
        admin: deployment.gateway.admin(),
        books: Books::default(),
        shortage: Shortage::default(),
    };
    rounds.next().await?;
    if let Some(kafka) = &deployment.kafka {
        kafka.pause()?;
    }
    rounds.until("the disk is full", |shortage| policy.shown(shortage) > 0).await?;
    rounds.next().await?;
    // A restart sets the counter of unmetered requests to zero, so that only this policy can do
    // with one.
    if policy == Policy::Reject {
        deployment.gateway.process.kill()?;
        deployment.gateway.restart().await?;
    }
    if let Some(kafka) = &deployment.kafka {
        kafka.resume()?;
    }
    rounds.until("the disk has room again", |shortage| policy.shown(shortage) == 0).await?;
    let contrary = policy.contrary(rounds.shortage);
    let wrong = (contrary > 0).then(|| format!("{contrary} requests were treated otherwise than as {policy:?} says"));
    close(&DRILL, 1, deployment, rounds.books, wrong).await
}

impl Policy {
    const fn setting(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::ServeUnmetered => "serve_unmetered",
        }
    }

    /// Requests that were treated as it says.
    const fn shown(self, shortage: Shortage) -> u64 {
        match self {
            Self::Reject => shortage.refused,
            Self::ServeUnmetered => shortage.unmetered,
        }
    }

    /// Requests that were treated as the other one says.
    const fn contrary(self, shortage: Shortage) -> u64 {
        match self {
            Self::Reject => shortage.unmetered,
            Self::ServeUnmetered => shortage.refused,
        }
    }
}

impl Rounds {
    /// Runs one more round, and returns its shortage.
    async fn next(&mut self) -> Result<Shortage, DrillError> {
        let result = self.load.run().await?;
        self.books.add(&result);
        let refused = result.by_status.get(&503).copied().unwrap_or(0);
        let unmetered_before = self.books.unmetered;
        self.books.unmetered = self.unmetered().await?;
        let shortage = Shortage { refused, unmetered: self.books.unmetered - unmetered_before };
        self.shortage.refused += shortage.refused;
        self.shortage.unmetered += shortage.unmetered;
        Ok(shortage)
    }

    /// Runs rounds until one shows what is `wanted`.
    async fn until(&mut self, state: &str, wanted: impl Fn(Shortage) -> bool) -> Result<(), DrillError> {
        let seen = within(PATIENCE, Duration::ZERO, async || self.next().await.map(&wanted));
        seen.await.ok_or_else(|| DrillError::Patience(state.to_owned()))?
    }

    /// Requests that the gateway says it has served without a record.
    async fn unmetered(&self) -> Result<u64, DrillError> {
        let metrics = processes::get(self.admin, "/metrics").await?.body;
        let count = metrics.lines().find_map(|line| line.strip_prefix("tollgate_unmetered_requests_total "));
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }
}
