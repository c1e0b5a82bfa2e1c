//! Faults on the way of a change to a gateway.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::{
    super::{error::DrillError, harm::Times},
    fixture::Fixture,
    probe::Shows,
    reach::Samples,
    silent_relay::SilentRelay,
    subject::{Step, Subject, arrival},
};
use crate::deployment::Deployment;

/// Number of times that each fault happens.
const TIMES: u32 = 3;

/// Interval at which listeners are disconnected again while a change is on its way.
const DISCONNECT_EVERY: Duration = Duration::from_millis(10);

/// Ends the connections on which gateways listen for changes.
const DISCONNECT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                          WHERE query ILIKE 'listen %tollgate_changes%' AND pid <> pg_backend_pid()";

/// A gateway that does not reach the store goes on with what it knows, and shows what it has missed
/// once it is back. The times count from there. With a database server, its relay to the gateway is
/// silent; with a file, which nothing can stand before, the gateway is held still.
pub(super) async fn cut_off(
    deployment: &Deployment,
    fixture: &Fixture,
    relay: Option<&SilentRelay>,
    times: Times,
) -> Result<Samples, DrillError> {
    let Some(process) = deployment.gateways().last().map(|gateway| &gateway.process) else {
        return Ok(Samples::default());
    };
    let mut samples = Samples::default();
    for number in 0..TIMES {
        let subject = Subject::enter(fixture, &format!("Cut off {number}")).await?;
        match relay {
            Some(relay) => relay.silence(),
            None => process.pause()?,
        }
        let committed = subject.change(fixture, Step::Revoke).await?;
        let Some((cut_off, others)) = subject.probes.split_last() else { return Ok(samples) };
        let others = arrival(others, committed, Shows::Refused).await;
        sleep(times.cut_off.saturating_sub(committed.elapsed())).await;
        let goes_on = relay.is_none() || cut_off.kept_to(committed, Shows::Served);
        let back = Instant::now();
        match relay {
            Some(relay) => relay.resume(),
            None => process.resume()?,
        }
        let arrived = subject.arrival(back, Shows::Refused).await;
        samples.add(Step::Revoke, arrived.filter(|_| others.is_some() && goes_on));
        fixture.finish(&subject);
    }
    Ok(samples)
}

/// Announcements of changes are lost: whoever listens is disconnected right before the change, and
/// over and over until it has arrived.
pub(super) async fn unannounced(deployment: &Deployment, fixture: &Fixture) -> Result<Samples, DrillError> {
    let mut database = PgConnection::connect(deployment.store()).await?;
    let mut samples = Samples::default();
    for number in 0..TIMES {
        let subject = Subject::enter(fixture, &format!("Unannounced {number}")).await?;
        samples.disconnected += disconnect(&mut database).await?;
        let committed = subject.change(fixture, Step::Revoke).await?;
        let arriving = subject.arrival(committed, Shows::Refused);
        let arrived = in_silence(arriving, &mut database, &mut samples).await?;
        samples.add(Step::Revoke, arrived);
        fixture.finish(&subject);
    }
    Ok(samples)
}

/// Waits for `arriving`, and disconnects all listeners meanwhile.
async fn in_silence<T>(
    arriving: impl Future<Output = T>,
    database: &mut PgConnection,
    samples: &mut Samples,
) -> Result<T, DrillError> {
    let mut arriving = std::pin::pin!(arriving);
    loop {
        tokio::select! {
            arrived = &mut arriving => return Ok(arrived),
            () = sleep(DISCONNECT_EVERY) => samples.disconnected += disconnect(database).await?,
        }
    }
}

async fn disconnect(database: &mut PgConnection) -> Result<u64, DrillError> {
    Ok(sqlx::query(DISCONNECT).execute(database).await?.rows_affected())
}
