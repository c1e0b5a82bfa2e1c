//! Drills: real load, real harm, and books that must balance afterwards.
//!
//! A drill sends load from a client that counts the answers it received in full, harms a process or a server while it
//! runs, and ends with `received <= billed <= accepted by the upstream`, for every key, and a clean `billing audit`.

mod broker_down;
mod gateway_kill9;
mod harm;
mod ingest_kill9;
mod postgres_down;
mod replay;
mod spool_full;
mod upgrade;

use std::pin::Pin;

use serde::Serialize;

use crate::{
    fleet::FleetError,
    house::{Books, House, HouseError},
    load::LoadError,
};

/// One drill.
pub struct Drill {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// How often it harms, unless stated.
    pub faults: u32,
    run: fn(u32) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<Outcome, DrillError>> + Send>>;

/// What a drill came to: its closing JSON line.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The drill.
    pub drill: &'static str,
    /// How often something was harmed.
    pub faults: u32,
    /// Requests that were under way then and got no answer.
    pub at_risk: u64,
    /// Answers that the client received in full.
    pub received: u64,
    /// Requests on the bill.
    pub billed: u64,
    /// Requests that the upstream accepted.
    pub accepted: u64,
    /// Whether the books balance for every key and the audit is clean, and what else the drill asks for.
    pub ok: bool,
    /// What is wrong, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

/// Why a drill did not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The house could not be built, or its books not be read.
    #[error(transparent)]
    House(#[from] HouseError),
    /// A process could not be harmed or started again.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A server could not be harmed or started again.
    #[error(transparent)]
    Stack(#[from] stack::StackError),
    /// The load did not run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A thread of the drill died.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

/// Every drill.
pub fn all() -> Vec<Drill> {
    vec![
        Drill {
            name: gateway_kill9::NAME,
            about: "kill -9 of the gateway at random moments under load, with restart",
            faults: 50,
            run: |faults| Box::pin(gateway_kill9::run(faults)),
        },
        Drill {
            name: ingest_kill9::NAME,
            about: "kill -9 of billing ingest at random moments; two ingesters; one paused beyond its session",
            faults: 50,
            run: |faults| Box::pin(ingest_kill9::run(faults)),
        },
        Drill {
            name: broker_down::NAME,
            about: "broker killed mid-batch, paused, and down for a minute",
            faults: 3,
            run: |faults| Box::pin(broker_down::run(faults)),
        },
        Drill {
            name: postgres_down::NAME,
            about: "PostgreSQL killed mid-transaction, out of connections, and down for a minute",
            faults: 3,
            run: |faults| Box::pin(postgres_down::run(faults)),
        },
        Drill {
            name: spool_full::NAME,
            about: "sink away until the disk budget is spent, with both policies",
            faults: 2,
            run: |faults| Box::pin(spool_full::run(faults)),
        },
        Drill {
            name: upgrade::NAME,
            about: "gateway upgraded under load: the new process takes over the sockets",
            faults: 5,
            run: |faults| Box::pin(upgrade::run(faults)),
        },
        Drill {
            name: replay::NAME,
            about: "the topic replayed from its beginning, into the same database and into an empty one",
            faults: 2,
            run: |faults| Box::pin(replay::run(faults)),
        },
    ]
}

impl Drill {
    /// Runs it, with this many faults.
    pub async fn run(&self, faults: u32) -> Result<Outcome, DrillError> {
        (self.run)(faults).await
    }
}

/// Settles the house and holds the books against it. `wrong` is what the drill itself found.
async fn close(
    drill: &'static str,
    faults: u32,
    mut house: House,
    mut books: Books,
    wrong: Option<String>,
) -> Result<Outcome, DrillError> {
    house.settle(&mut books).await?;
    let audit = house.audit().await.err().map(|error| error.to_string());
    let unbalanced = (!books.balance()).then(|| format!("the books do not balance: {:?}", books.keys));
    let wrong = wrong.or(unbalanced).or(audit);
    let total = books.total();
    Ok(Outcome {
        drill,
        faults,
        at_risk: books.at_risk,
        received: total.received,
        billed: total.billed,
        accepted: total.accepted,
        ok: wrong.is_none(),
        wrong,
    })
}
