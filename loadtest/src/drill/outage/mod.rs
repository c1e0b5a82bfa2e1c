//! The broker away for ten minutes while requests come at a constant rate, and back.
//!
//! One open loop runs through all of it, so that latency is told from the moment each request was
//! due: undisturbed, while the broker is away, while it comes back, and while the gateway catches
//! up. Nothing may be refused within the journal's budget, the spool has to be used and to be empty
//! again, and the books to balance. What was measured is told beside the targets and fails nothing:
//! a busy machine is no fault of the gateway.

pub(super) mod figures;
pub(super) mod timing;
mod watch;

use std::time::Duration;

use figures::OutageFigures;
use serde_json::json;
use servers::Server;
use timing::OutageTiming;
use watch::{Marks, Watch};

use super::{
    error::DrillError,
    harm::{Times, on_server},
    outcome::{Drill, Outcome, close},
};
use crate::{
    deployment::{Books, Customer, Deployment, DeploymentOptions},
    load::{Load, LoadResult, Pace, Stages},
};

pub(super) const DRILL: Drill = Drill {
    name: "outage",
    about: "broker away for ten minutes at 10,000 requests a second: latency, spool, catching up",
    faults: 1,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Until connections are open and caches are warm.
const WARM_UP: Duration = Duration::from_secs(2);

/// Longest load, if the gateway never catches up.
const LONGEST: Duration = Duration::from_hours(2);

const CONNECTIONS: usize = 128;

/// Requests per second of one customer: below what its plan allows.
const RATE_OF_CUSTOMER: u32 = 2_500;

async fn run(faults: u32, times: Times) -> Result<Outcome, DrillError> {
    let timing = times.outage;
    let usage = timing.budget_mib.map_or_else(|| json!({}), |mib| json!({ "journal_budget_mib": mib }));
    let mut deployment = Deployment::build(DeploymentOptions { usage, ..DeploymentOptions::at_scale() }).await?;
    let mut customers = Vec::new();
    for number in 1..=timing.rate.div_ceil(RATE_OF_CUSTOMER).max(3) {
        customers.push(deployment.customer(&format!("Customer {number}"), "enterprise").await?);
    }
    let mut books = Books::default();
    let (mut outages, mut wrong) = (Vec::new(), None);
    for _ in 0..faults {
        let (figures, result) = measure(&mut deployment, &customers, timing).await?;
        let refused = result.received - result.by_status.get(&200).copied().unwrap_or(0);
        if refused > 0 {
            wrong = Some(format!("{refused} requests were refused: {:?}", result.by_status));
        }
        books.add(&result);
        outages.push(figures);
    }
    let outcome = close(&DRILL, faults, deployment, books, wrong).await?;
    Ok(Outcome { outages, ..outcome })
}

/// Load through one outage, until its traces are gone.
async fn measure(
    deployment: &mut Deployment,
    customers: &[Customer],
    timing: OutageTiming,
) -> Result<(OutageFigures, LoadResult), DrillError> {
    let stages = Stages::default();
    let load = Load {
        duration: LONGEST,
        pace: Pace::Open { per_second: timing.rate },
        connections: CONNECTIONS,
        stages: stages.clone(),
        ..deployment.load(customers)
    };
    let mut watch = Watch::new(&deployment.gateway)?;
    let harm = async {
        let marks = harm(deployment, &mut watch, &stages, timing).await;
        stages.end();
        marks
    };
    let (result, marks) = tokio::join!(load.run(), harm);
    let (marks, result) = (marks?, result?);
    Ok((OutageFigures::new(timing.rate, &marks, &watch, &result), result))
}

async fn harm(
    deployment: &mut Deployment,
    watch: &mut Watch,
    stages: &Stages,
    timing: OutageTiming,
) -> Result<Marks, DrillError> {
    watch.hold(WARM_UP).await?;
    stages.next();
    let undisturbed = watch.mark().await?;
    watch.hold(timing.undisturbed).await?;

    on_server(&mut deployment.kafka, Server::kill).await?;
    stages.next();
    let away = watch.mark().await?;
    watch.hold(timing.away).await?;
    watch.until("the spool is used", timing.away, |now| now.spooled_bytes > 0).await?;

    stages.next();
    let returning = watch.mark().await?;
    on_server(&mut deployment.kafka, Server::restart).await?;
    watch.until("usage flows again", timing.away, |now| now.acknowledged > returning.journal.acknowledged).await?;

    stages.next();
    let catching_up = watch.mark().await?;
    let second = u64::from(timing.rate);
    watch
        .until("the journal holds no more than it used to", timing.away, |now| {
            now.spooled_bytes == 0 && now.entries <= second
        })
        .await?;
    let over = watch.mark().await?;
    Ok(Marks { undisturbed, away, returning, catching_up, over })
}
