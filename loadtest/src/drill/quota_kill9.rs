//! A hard quota spent by four gateways of which now one and now another is killed: never more than
//! there is, and nearly all of it.
//!
//! Units that a gateway held when it died stay out of use until its journal is booked, and are then
//! granted anew. So the quota is spent to the end once every journal is empty, whatever was killed
//! before.

use std::{collections::BTreeSet, time::Duration};

use common::store::Store;
use rand::RngExt as _;
use servers::within;
use tokio::task::JoinSet;

use super::{
    error::DrillError,
    harm::{on_every_gateway, some_moment},
    outcome::{Drill, Outcome, close},
};
use crate::{
    deployment::{Books, Customer, Deployment, DeploymentOptions},
    load::{Load, LoadResult},
};

pub(super) const DRILL: Drill = Drill {
    name: "quota-kill9",
    about: "kill -9 of gateways at random moments while four of them spend a hard quota",
    faults: 20,
    run: |faults, times| Box::pin(run(faults, times.quota)),
};

const GATEWAYS: u32 = 4;

const CONNECTIONS: usize = 4;

/// Latest moment after the beginning of a burst at which a gateway is killed.
const KILLED_WITHIN: Duration = Duration::from_millis(800);

/// Longer than gateways believe that a spent quota is spent.
const LAST_BURSTS: Duration = Duration::from_secs(2);

/// Longest time until the units of dead gateways are granted anew.
const PATIENCE: Duration = Duration::from_mins(2);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// `quota` are the units, and with them the requests, that the customer's plan has for the month.
async fn run(faults: u32, quota: u64) -> Result<Outcome, DrillError> {
    let mut deployment =
        Deployment::build(DeploymentOptions { gateways: GATEWAYS, ..DeploymentOptions::at_scale() }).await?;
    let customer = [capped_customer(&deployment, quota).await?];
    let mut books = Books::default();
    // Some of the quota is left for after the last kill.
    let share = quota / u64::from(faults + 1) / u64::from(GATEWAYS);
    for _ in 0..faults {
        let burst = on_every_gateway(&deployment, &customer, |load| Load {
            max_requests: Some(share),
            connections: CONNECTIONS,
            ..load
        });
        some_moment(KILLED_WITHIN).await;
        let victim = rand::rng().random_range(0..GATEWAYS as usize);
        if let Some(gateway) = deployment.gateways_mut().nth(victim) {
            gateway.process.kill()?;
            gateway.restart().await?;
        }
        finish(burst, &mut books).await?;
    }
    loop {
        dead_gateways_hold_nothing(&deployment).await?;
        let burst = on_every_gateway(&deployment, &customer, |load| Load {
            duration: LAST_BURSTS,
            connections: CONNECTIONS,
            ..load
        });
        if finish(burst, &mut books).await? == 0 {
            break;
        }
    }
    let outcome = close(&DRILL, faults, deployment, books, None).await?;
    let nearly_all = quota - quota / 100;
    let used_well = (nearly_all..=quota).contains(&outcome.billed);
    let misused = (!used_well).then(|| format!("{} of {quota} units were used", outcome.billed));
    let wrong = outcome.wrong.or(misused);
    Ok(Outcome { ok: wrong.is_none(), wrong, ..outcome })
}

/// Creates a customer that only a hard quota limits.
async fn capped_customer(deployment: &Deployment, quota: u64) -> Result<Customer, DrillError> {
    let plan = format!(
        "plans:\n  - id: capped\n    name: Capped\n    currency: USD\n    flat_fee: \"0.00\"\n    \
         quotas: [{{ meter: requests, per_month: {quota} }}]\n"
    );
    let file = deployment.directory().join("capped.yaml");
    std::fs::write(&file, plan)?;
    deployment.keyctl.apply_plans(&file).await?;
    Ok(deployment.customer("Acme", "capped").await?)
}

/// Waits for the load, adds the answers to the books, and returns the number of admitted ones.
async fn finish(mut loads: JoinSet<Result<LoadResult, DrillError>>, books: &mut Books) -> Result<u64, DrillError> {
    let mut admitted = 0;
    while let Some(result) = loads.join_next().await {
        let result = result??;
        admitted += result.by_status.get(&200).copied().unwrap_or(0);
        books.add(&result);
    }
    Ok(admitted)
}

/// Waits until only running gateways hold units.
async fn dead_gateways_hold_nothing(deployment: &Deployment) -> Result<(), DrillError> {
    deployment.journals_are_empty().await?;
    let store = Store::open(deployment.store()).await?;
    let mut lives = BTreeSet::new();
    let is_so = within(PATIENCE, LOOK_EVERY, async || {
        lives = store.quota_leases().await?.into_iter().map(|lease| lease.life).collect();
        Ok::<_, DrillError>(lives.len() <= GATEWAYS as usize)
    });
    is_so.await.ok_or_else(|| DrillError::Patience(format!("dead gateways still hold units: {lives:?}")))??;
    store.close().await;
    Ok(())
}
