//! Drills: real load, real harm, and books that must balance afterwards.
//!
//! A drill sends load from a client that counts the answers it received in full, harms a process or
//! a server while it runs, and ends with `received <= billed <= accepted by the upstream`, for
//! every key, and a clean `billing audit`. A drill that spends a limit also compares the admitted
//! requests with the allowed ones; a drill that makes changes also reports how soon every gateway
//! showed them.

mod broker_down;
mod gateway_kill9;
mod harm;
mod ingest_kill9;
mod limits_fleet;
mod outage;
mod postgres_down;
mod quota_kill9;
mod replay;
mod revocation;
mod spool_full;
mod upgrade;

use std::pin::Pin;

pub use harm::Times;
pub use limits_fleet::LimitPhase;
pub use outage::{Cores, OutageFigures, StageFigures};
pub use revocation::Reach;
use serde::Serialize;

use crate::{
    deployment::{Books, Deployment, DeploymentError},
    load::LoadError,
    processes::ProcessError,
};

/// One drill.
pub struct Drill {
    /// Its name on the command line.
    pub name: &'static str,
    /// A line about it, for the list of drills.
    pub about: &'static str,
    /// Number of faults, unless stated.
    pub faults: u32,
    run: fn(u32, Times) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<Outcome, DrillError>>>>;

/// The outcome of a drill: its closing JSON line.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The drill.
    pub drill: &'static str,
    /// Number of faults.
    pub faults: u32,
    /// Requests that were open during a fault and got no answer.
    pub at_risk: u64,
    /// Answers that the client received in full.
    pub received: u64,
    /// Requests on the bill.
    pub billed: u64,
    /// Requests that the upstream accepted.
    pub accepted: u64,
    /// The phases of a drill about a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<LimitPhase>,
    /// Times until changes arrived, per engine, in the drill about changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<Reach>,
    /// Figures of the outages, in the drill that measures them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<OutageFigures>,
    /// True if the books balance for every key, the audit is clean, and the drill's own targets are
    /// met.
    pub ok: bool,
    /// The first target that was missed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

/// A drill could not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The deployment could not be built, or its books not be read.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// A process could not be harmed or started again.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A server could not be harmed or started again.
    #[error(transparent)]
    Server(#[from] servers::ServerError),
    /// The load did not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The database refused what the drill needs of it.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] common::store::StoreError),
    /// The admin's command line.
    #[error(transparent)]
    Keyctl(#[from] crate::processes::KeyctlError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A state that should come about does not.
    #[error("not in time: {0}")]
    Patience(String),
    /// A thread of the drill died.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

/// Every drill.
pub static DRILLS: [Drill; 11] = [
    gateway_kill9::DRILL,
    ingest_kill9::DRILL,
    broker_down::DRILL,
    postgres_down::DRILL,
    spool_full::DRILL,
    upgrade::DRILL,
    replay::DRILL,
    quota_kill9::DRILL,
    limits_fleet::DRILL,
    revocation::DRILL,
    outage::DRILL,
];

impl Drill {
    /// Runs it, with this many faults.
    pub async fn run(&self, faults: u32, times: Times) -> Result<Outcome, DrillError> {
        (self.run)(faults, times).await
    }
}

/// Reconciles the books with the deployment. `wrong` is the drill's own finding.
async fn close(
    drill: &Drill,
    faults: u32,
    mut deployment: Deployment,
    mut books: Books,
    wrong: Option<String>,
) -> Result<Outcome, DrillError> {
    deployment.reconcile(&mut books).await?;
    let audit = deployment.audit().await.err().map(|error| error.to_string());
    let unbalanced = (!books.balance()).then(|| format!("the books do not balance: {:?}", books.keys));
    let wrong = wrong.or(unbalanced).or(audit);
    let total = books.total();
    Ok(Outcome {
        drill: drill.name,
        faults,
        at_risk: books.at_risk,
        received: total.received,
        billed: total.billed,
        accepted: total.accepted,
        phases: Vec::new(),
        engines: Vec::new(),
        outages: Vec::new(),
        ok: wrong.is_none(),
        wrong,
    })
}
