//! The topic replayed from its beginning: into the same database nothing changes, an empty one gets
//! the same books.

use super::{
    error::DrillError,
    harm::{burst, customers, under_load},
    outcome::{Drill, Outcome, close},
};
use crate::deployment::{Books, Deployment, DeploymentOptions, billing_command};

pub(super) const DRILL: Drill = Drill {
    name: "replay",
    about: "the topic replayed from its beginning, into the same database and into an empty one",
    faults: 2,
    run: |faults, _times| Box::pin(run(faults)),
};

async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::at_scale()).await?;
    let customers = customers(&deployment).await?;
    let mut books = Books::default();
    let mut wrong = None;
    for fault in 0..faults {
        under_load(burst(&deployment, &customers), &mut books, async { Ok(()) }).await?;
        deployment.reconcile(&mut books).await?;
        deployment.gateway.restart().await?;
        let before = deployment.usage_in(deployment.store()).await?;
        let mut stores = vec![("the same database", deployment.store().to_owned())];
        if let Some(postgres) = &deployment.postgres {
            let name = format!("replayed_{fault}");
            postgres.create_database(&name)?;
            let empty = postgres.url(&name);
            billing_command(&["migrate", "--store", &empty]).await?;
            stores.push(("an empty database", empty));
        }
        for (what, store) in stores {
            stop_ingest(&mut deployment).await?;
            let replaying = deployment.start_ingest("ingest-replay", &store, true).await?;
            deployment.ingest.push(replaying);
            deployment.consumed_everything().await?;
            if deployment.usage_in(&store).await? != before {
                wrong = Some(format!("a replay into {what} came to other books"));
            }
        }
        stop_ingest(&mut deployment).await?;
        let back = deployment.start_ingest("ingest-back", deployment.store(), false).await?;
        deployment.ingest.push(back);
    }
    close(&DRILL, faults, deployment, books, wrong).await
}

async fn stop_ingest(deployment: &mut Deployment) -> Result<(), DrillError> {
    for mut ingest in deployment.ingest.drain(..) {
        ingest.process.stop().await?;
    }
    Ok(())
}
