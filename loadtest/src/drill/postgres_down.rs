//! PostgreSQL killed mid-transaction, out of connections, and down for a minute. Gateways keep
//! serving from memory.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, error::DatabaseError, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{
    error::DrillError,
    harm::{Times, customers, outage, some_moment, steady, under_load},
    outcome::{Drill, Outcome, close},
};
use crate::deployment::{Books, Deployment, DeploymentOptions};

pub(super) const DRILL: Drill = Drill {
    name: "postgres-down",
    about: "PostgreSQL killed mid-transaction, out of connections, and down for a minute",
    faults: 3,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Ends the connections of everybody else.
const EVICT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE backend_type = 'client backend' AND application_name <> current_setting('application_name')";

/// PostgreSQL's error code for "all connections are taken".
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Pause of the strangers when there is no connection left.
const CROWDED_PAUSE: Duration = Duration::from_millis(20);

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
            under_load(load, &mut books, crowd(deployment.store(), times)).await?;
        } else {
            under_load(load, &mut books, outage(&mut deployment.postgres, times.margin, lasts)).await?;
        }
    }
    close(&DRILL, faults, deployment, books, None).await
}

/// Takes every connection of the server, also those of Tollgate's processes.
async fn crowd(store: &str, times: Times) -> Result<(), DrillError> {
    some_moment(times.margin).await;
    let options = store.parse::<PgConnectOptions>()?.application_name("stranger");
    let (mut strangers, mut turned_away) = (Vec::new(), 0_u32);
    let end = Instant::now() + times.stalled;
    while Instant::now() < end {
        match PgConnection::connect_with(&options).await {
            Ok(stranger) => strangers.push(stranger),
            Err(error) if is_full(&error) => {
                turned_away += 1;
                if let Some(stranger) = strangers.first_mut() {
                    sqlx::query(EVICT).execute(stranger).await?;
                }
                sleep(CROWDED_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if turned_away == 0 {
        return Err(DrillError::Patience(format!("{} strangers did not take every connection", strangers.len())));
    }
    Ok(())
}

fn is_full(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == TOO_MANY_CONNECTIONS)
}
