//! The broker killed mid-batch, paused so that its connections stay open and nothing answers, and
//! down for a minute.

use std::time::Duration;

use super::{
    error::DrillError,
    harm::{Times, customers, outage, stall, steady, under_load},
    outcome::{Drill, Outcome, close},
};
use crate::deployment::{Books, Deployment, DeploymentOptions};

pub(super) const DRILL: Drill = Drill {
    name: "broker-down",
    about: "broker killed mid-batch, paused, and down for a minute",
    faults: 3,
    run: |faults, times| Box::pin(run(faults, times)),
};

async fn run(faults: u32, times: Times) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::at_scale()).await?;
    let customers = customers(&deployment).await?;
    let mut books = Books::default();
    for fault in 0..faults {
        let lasts = match fault % 3 {
            0 => Duration::ZERO,
            1 => times.stalled,
            _ => times.away,
        };
        let load = steady(&deployment, &customers, times.margin + lasts + times.margin);
        if fault % 3 == 1 {
            under_load(load, &mut books, stall(deployment.kafka.as_ref(), times)).await?;
        } else {
            under_load(load, &mut books, outage(&mut deployment.kafka, times.margin, lasts)).await?;
        }
    }
    close(&DRILL, faults, deployment, books, None).await
}
