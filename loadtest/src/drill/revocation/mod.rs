//! The time until every gateway shows a change: three gateways under load, on SQLite and on
//! PostgreSQL, while keys are revoked, tenants suspended, reinstated and moved, and plans changed.
//!
//! Clients ask each gateway with each key all the time. A change has arrived at a gateway with the
//! first answer that is right and after which none is wrong; it counts from when the store has
//! committed it, to when the last gateway shows it. See [`subject`] for the changes and [`fault`]
//! for what happens then: a gateway that does not reach the store, and announcements that are lost.

mod fault;
mod fixture;
mod probe;
pub(super) mod reach;
mod silent_relay;
mod subject;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use fixture::Fixture;
use reach::{Reach, Samples};
use silent_relay::SilentRelay;
use subject::{LIFE, Subject};
use tokio::task::JoinSet;

use super::{
    error::DrillError,
    harm::{Times, customers, on_every_gateway},
    outcome::{Drill, Outcome, close},
};
use crate::{
    deployment::{Books, Customer, Deployment, DeploymentOptions},
    load::{Load, Pace},
};

pub(super) const DRILL: Drill = Drill {
    name: "revocation",
    about: "keys revoked, tenants suspended and moved, plans changed: how soon three gateways show it",
    faults: 105,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Subjects at once.
const LANES: u32 = 3;

/// Requests per second to each gateway, beside those that look for changes.
const RATE: u32 = 200;

/// Length of a piece of that load.
const PIECE: Duration = Duration::from_secs(1);

async fn run(faults: u32, times: Times) -> Result<Outcome, DrillError> {
    let (sqlite, on_sqlite) = on_engine(false, faults, times).await?;
    let (postgres, on_postgres) = on_engine(true, faults, times).await?;
    Ok(Outcome {
        faults,
        at_risk: sqlite.at_risk + postgres.at_risk,
        received: sqlite.received + postgres.received,
        billed: sqlite.billed + postgres.billed,
        accepted: sqlite.accepted + postgres.accepted,
        engines: vec![on_sqlite, on_postgres],
        ok: sqlite.ok && postgres.ok,
        wrong: sqlite.wrong.or(postgres.wrong),
        ..Outcome::of(DRILL.name)
    })
}

async fn on_engine(postgres: bool, changes: u32, times: Times) -> Result<(Outcome, Reach), DrillError> {
    let mut deployment =
        Deployment::build(DeploymentOptions { postgres, gateways: 2, ..DeploymentOptions::default() }).await?;
    // The third gateway reaches the database through a relay that can go silent.
    let relay = match &deployment.postgres {
        Some(postgres) => Some(SilentRelay::to(postgres.port()).await?),
        None => None,
    };
    let store =
        relay.as_ref().map_or_else(|| deployment.store().to_owned(), |relay| relay.instead_of(deployment.store()));
    deployment.siblings.push(deployment.gateway.start_sibling_on("gateway-3", &store).await?);
    let customers = customers(&deployment).await?;
    let mut books = Books::default();
    let fixture = Arc::new(Fixture::prepare(&deployment).await?);
    let done = AtomicBool::new(false);
    let drilled = async {
        let reach = drill(&deployment, &fixture, relay.as_ref(), changes, times).await;
        done.store(true, Ordering::Relaxed);
        reach
    };
    let (loaded, reach) = tokio::join!(load(&deployment, &customers, &mut books, &done), drilled);
    loaded?;
    let reach = reach?;
    fixture.note_served(&mut books);
    let wrong = reach.wrong(times.judges_speed);
    let outcome = close(&DRILL, changes, deployment, books, wrong).await?;
    Ok((outcome, reach))
}

/// Load on every gateway until all is done.
async fn load(
    deployment: &Deployment,
    customers: &[Customer],
    books: &mut Books,
    done: &AtomicBool,
) -> Result<(), DrillError> {
    while !done.load(Ordering::Relaxed) {
        let pace = Pace::Open { per_second: RATE };
        let mut loads =
            on_every_gateway(deployment, customers, |load| Load { duration: PIECE, pace, connections: 16, ..load });
        while let Some(result) = loads.join_next().await {
            books.add(&result??);
        }
    }
    Ok(())
}

async fn drill(
    deployment: &Deployment,
    fixture: &Arc<Fixture>,
    relay: Option<&SilentRelay>,
    changes: u32,
    times: Times,
) -> Result<Reach, DrillError> {
    let engine = if relay.is_some() { "postgres" } else { "sqlite" };
    let samples = many_changes(fixture, changes).await?;
    let cut_off = fault::cut_off(deployment, fixture, relay, times).await?;
    let unannounced = match relay {
        Some(_) => Some(fault::unannounced(deployment, fixture).await?),
        None => None,
    };
    Ok(Reach::new(engine, &samples, &cut_off, unannounced.as_ref(), fixture.unanswered()))
}

/// Leads subjects through their lives, several at once, until that many changes are made.
async fn many_changes(fixture: &Arc<Fixture>, changes: u32) -> Result<Samples, DrillError> {
    let subjects = changes.div_ceil(u32::try_from(LIFE.len()).unwrap_or(u32::MAX));
    let (next, samples) = (Arc::<AtomicU32>::default(), Arc::<Mutex<Samples>>::default());
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (fixture, next, samples) = (Arc::clone(fixture), Arc::clone(&next), Arc::clone(&samples));
        lanes.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= subjects {
                    return Ok::<_, DrillError>(());
                }
                let subject = Subject::enter(&fixture, &format!("Subject {number}")).await?;
                for (step, shows) in LIFE {
                    let committed = subject.change(&fixture, step).await?;
                    let arrived = subject.arrival(committed, shows).await;
                    samples.lock().unwrap_or_else(PoisonError::into_inner).add(step, arrived);
                }
                fixture.finish(&subject);
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(std::mem::take(&mut *samples.lock().unwrap_or_else(PoisonError::into_inner)))
}
