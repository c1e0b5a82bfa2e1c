//! The configuration reloaded and the gateway upgraded again and again, under load of every
//! protocol.
//!
//! Steady clients of HTTP/1.1, HTTP/2, gRPC and WebSocket keep their connections for as long as the
//! gateway lets them. Meanwhile the configuration changes several times a second (certificates,
//! routes, the servers and the time-outs of upstreams), and process after process takes over the
//! sockets. No request fails, each answer has one record, and memory does not grow with reloads.

mod changes;
mod clients;
pub(super) mod counts;
mod echo;
mod http2;
mod settings;
mod websocket;

use std::time::{Duration, Instant};

use changes::{Changes, GROWTH_MAX_MIB, Plan};
use clients::Clients;
use counts::{Changeover, ClientCounts};
use settings::Surroundings;

use super::{
    error::DrillError,
    harm::Times,
    outcome::{Drill, Outcome, close_books},
};
use crate::deployment::{Books, Deployment, DeploymentOptions};

pub(super) const DRILL: Drill = Drill {
    name: "reload-upgrade",
    about: "upgrades, with 40 reloads for each, under HTTP/1.1, HTTP/2, gRPC and WebSocket",
    faults: 5,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Longest time that the reloads and upgrades of the whole drill may take.
const TIME_MAX: Duration = Duration::from_mins(1);

async fn run(upgrades: u32, times: Times) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::default()).await?;
    let surroundings = Surroundings::start(&deployment).await?;
    let gateway = &mut deployment.gateway;
    // New listeners count from a start on.
    gateway.configure(Surroundings::routes(0), surroundings.further(0))?;
    gateway.process.stop().await?;
    gateway.restart().await?;

    let clients = Clients::start(&deployment, &surroundings).await?;
    let plan = Plan { upgrades, reloads: upgrades * times.reloads_per_upgrade, interval: times.reload_interval };
    let began = Instant::now();
    let changes = changes::make(&mut deployment.gateway, &surroundings, &plan).await;
    let elapsed = began.elapsed();
    let protocols = clients.end().await?;
    let changes = changes?;

    let mut books = Books { accepted_elsewhere: surroundings.accepted()?, ..Books::default() };
    for counts in &protocols {
        books.keys.entry(counts.key.clone()).or_default().received = counts.answered;
    }
    let reason = wrong(&plan, &changes, &protocols, elapsed, times);
    let figures = Changeover::new(&plan, elapsed, protocols, &changes);
    let failed = figures.failed();
    let outcome = close_books(&DRILL, upgrades, deployment, &mut books, reason).await?;
    let differs = books.keys.values().any(|key| key.billed != key.received);
    let differs = (failed == 0 && differs).then(|| format!("answers and records differ: {:?}", books.keys));
    let lost = books.keys.values().map(|key| key.received.saturating_sub(key.billed)).sum();
    let wrong = outcome.wrong.or(differs);
    let changeover = Some(figures);
    Ok(Outcome { failed: Some(failed), lost: Some(lost), changeover, ok: wrong.is_none(), wrong, ..outcome })
}

/// The drill's own finding, if there is one.
fn wrong(
    plan: &Plan,
    changes: &Changes,
    protocols: &[ClientCounts],
    elapsed: Duration,
    times: Times,
) -> Option<String> {
    let failed = protocols.iter().find(|counts| counts.failed > 0);
    let failed = failed.map(|counts| format!("{} of {} failed: {:?}", counts.failed, counts.protocol, counts.reasons));
    let silent = protocols.iter().find(|counts| counts.answered == 0);
    let silent = silent.map(|counts| format!("{} was never answered", counts.protocol));
    let growth = changes.late_mib - changes.early_mib;
    let grown = (plan.judges_memory() && growth > GROWTH_MAX_MIB)
        .then(|| format!("memory grew by {growth:.1} MiB over the reloads; {GROWTH_MAX_MIB} are allowed"));
    let late = (times.judges_speed && elapsed > TIME_MAX).then(|| format!("it took {} s", elapsed.as_secs()));
    changes.wrong.clone().or(failed).or(silent).or(grown).or(late)
}
