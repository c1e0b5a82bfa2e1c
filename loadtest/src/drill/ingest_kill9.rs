//! `kill -9` of `billing ingest` at random moments, while a second ingester takes over its
//! partitions and back; then one that sleeps through its session and wakes up with a transaction in
//! hand.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    error::DrillError,
    harm::{Times, amid_burst, burst, customers, some_moment, steady, under_load},
    outcome::{Drill, Outcome, close},
};
use crate::deployment::{Books, Deployment, DeploymentOptions};

pub(super) const DRILL: Drill = Drill {
    name: "ingest-kill9",
    about: "kill -9 of billing ingest at random moments; two ingesters; one paused beyond its session",
    faults: 50,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Longer than the session time-out of [`crate::processes::IngestProcess`].
const ASLEEP: Duration = Duration::from_secs(10);

async fn run(faults: u32, times: Times) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::at_scale()).await?;
    deployment.add_ingest().await?;
    let customers = customers(&deployment).await?;
    let mut books = Books::default();
    for fault in 0..faults {
        let load = burst(&deployment, &customers);
        let victim = &mut deployment.ingest[fault as usize % 2];
        under_load(load, &mut books, async {
            amid_burst().await;
            victim.process.kill()?;
            victim.restart().await?;
            Ok(())
        })
        .await?;
    }
    let load = steady(&deployment, &customers, times.margin + ASLEEP + times.margin);
    let sleeper = &deployment.ingest[0].process;
    under_load(load, &mut books, async {
        some_moment(times.margin).await;
        sleeper.pause()?;
        sleep(ASLEEP).await;
        sleeper.resume()?;
        Ok(())
    })
    .await?;
    close(&DRILL, faults + 1, deployment, books, None).await
}
