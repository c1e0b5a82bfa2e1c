//! The gateway upgraded under load: a new process takes over the sockets, the old one answers what
//! it has and goes.

use std::time::Duration;

use super::{
    error::DrillError,
    harm::{customers, some_moment, steady, under_load},
    outcome::{Drill, Outcome, close},
};
use crate::deployment::{Books, Deployment, DeploymentOptions};

pub(super) const DRILL: Drill = Drill {
    name: "upgrade",
    about: "gateway upgraded under load: the new process takes over the sockets",
    faults: 5,
    run: |faults, _times| Box::pin(run(faults)),
};

async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::at_scale()).await?;
    let customers = customers(&deployment).await?;
    let mut books = Books::default();
    let mut wrong = None;
    for _ in 0..faults {
        let load = steady(&deployment, &customers, Duration::from_secs(12));
        let gateway = &mut deployment.gateway;
        under_load(load, &mut books, async {
            some_moment(Duration::from_secs(2)).await;
            let ended = gateway.upgrade().await?;
            if !ended.success() {
                wrong = Some(format!("the old process ended with {ended}"));
            }
            Ok(())
        })
        .await?;
    }
    if books.at_risk > 0 {
        wrong = Some(format!("{} requests got no answer", books.at_risk));
    }
    close(&DRILL, faults, deployment, books, wrong).await
}
