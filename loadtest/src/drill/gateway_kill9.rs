//! `kill -9` of the gateway at random moments under load, with restart.

use super::{
    error::DrillError,
    harm::{amid_burst, burst, customers, under_load},
    outcome::{Drill, Outcome, close},
};
use crate::deployment::{Books, Deployment, DeploymentOptions};

pub(super) const DRILL: Drill = Drill {
    name: "gateway-kill9",
    about: "kill -9 of the gateway at random moments under load, with restart",
    faults: 50,
    run: |faults, _times| Box::pin(run(faults)),
};

async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::at_scale()).await?;
    let customers = customers(&deployment).await?;
    let mut books = Books::default();
    for _ in 0..faults {
        let load = burst(&deployment, &customers);
        under_load(load, &mut books, async {
            amid_burst().await;
            deployment.gateway.process.kill()?;
            deployment.gateway.restart().await?;
            Ok(())
        })
        .await?;
    }
    close(&DRILL, faults, deployment, books, None).await
}
