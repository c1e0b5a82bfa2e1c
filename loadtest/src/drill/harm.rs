//! Load, with a fault in the middle of it.

use std::time::Duration;

use rand::RngExt as _;
use servers::{Program, Server, ServerError};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

use super::{error::DrillError, outage::timing::OutageTiming};
use crate::{
    deployment::{Books, Customer, Deployment},
    load::{Load, LoadResult, Pace},
};

/// Requests per second during an outage of a minute: enough to fill batches, little enough for two
/// cores.
const STEADY_RATE: u32 = 500;

/// Length of a burst: short, so that many faults fit into a drill.
const BURST: Duration = Duration::from_secs(2);

/// Durations of a drill, and the amounts that it uses up.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Load before and after an outage.
    pub(super) margin: Duration,
    /// Time for which a server is gone,
    pub(super) away: Duration,
    /// or is halted and answers nothing.
    pub(super) stalled: Duration,
    /// Units of a quota that is spent to its end.
    pub(super) quota: u64,
    /// Load on a limit. With a fault, a third of it comes before and a third during the fault.
    pub(super) limited: Duration,
    /// A gateway is cut off from the store.
    pub(super) cut_off: Duration,
    /// True if the speed of this machine decides about the outcome.
    pub(super) judges_speed: bool,
    /// Reloads for each upgrade, in a drill with both.
    pub(super) reloads_per_upgrade: u32,
    /// Time from one reload to the next.
    pub(super) reload_interval: Duration,
    /// Tenants whose month is closed.
    pub(super) tenants: u32,
    /// True if the documents of the month are made, too.
    pub(super) with_documents: bool,
    /// An outage that is measured.
    pub(super) outage: OutageTiming,
}

impl Times {
    /// Outages that outlast every time-out: the drill as it is meant.
    pub const FULL: Self = Self {
        margin: Duration::from_secs(5),
        away: Duration::from_mins(1),
        stalled: Duration::from_secs(15),
        quota: 100_000,
        limited: Duration::from_secs(30),
        cut_off: Duration::from_secs(15),
        judges_speed: true,
        reloads_per_upgrade: 40,
        reload_interval: Duration::from_millis(270),
        tenants: 10_000,
        with_documents: false,
        outage: OutageTiming {
            rate: 10_000,
            undisturbed: Duration::from_mins(1),
            away: Duration::from_mins(10),
            budget_mib: None,
        },
    };

    /// Outages of seconds, for tests that run often.
    pub const SHORT: Self = Self {
        margin: Duration::from_secs(2),
        away: Duration::from_secs(5),
        stalled: Duration::from_secs(5),
        quota: 6_000,
        limited: Duration::from_secs(6),
        cut_off: Duration::from_secs(2),
        judges_speed: false,
        reloads_per_upgrade: 12,
        reload_interval: Duration::from_millis(400),
        tenants: 200,
        with_documents: false,
        // Rings small enough to be full within seconds, and a spool that then lasts for more than a
        // minute.
        outage: OutageTiming {
            rate: 300,
            undisturbed: Duration::from_secs(3),
            away: Duration::from_secs(5),
            budget_mib: Some(4),
        },
    };

    /// Returns the times with another rate of requests in the measured outage.
    #[must_use]
    pub fn at_rate(self, per_second: u32) -> Self {
        Self { outage: OutageTiming { rate: per_second, ..self.outage }, ..self }
    }

    /// Returns the times with the documents of a closed month.
    #[must_use]
    pub const fn with_documents(self) -> Self {
        Self { with_documents: true, ..self }
    }

    /// Returns the times with another length of the measured outage.
    #[must_use]
    pub fn away_for(self, away: Duration) -> Self {
        Self { outage: OutageTiming { away, ..self.outage }, ..self }
    }
}

/// Customers of a drill; their keys are used in turn.
pub(super) async fn customers(deployment: &Deployment) -> Result<Vec<Customer>, DrillError> {
    let mut customers = Vec::new();
    for name in ["Acme", "Globex", "Initech"] {
        customers.push(deployment.customer(name, "enterprise").await?);
    }
    Ok(customers)
}

/// Returns a closed loop of load for two seconds.
pub(super) fn burst(deployment: &Deployment, customers: &[Customer]) -> Load {
    Load { duration: BURST, connections: 8, ..deployment.load(customers) }
}

/// Sleeps until a random moment within a burst.
pub(super) async fn amid_burst() {
    some_moment(BURST.mul_f64(0.9)).await;
}

/// Steady load for `duration`.
pub(super) fn steady(deployment: &Deployment, customers: &[Customer], duration: Duration) -> Load {
    let pace = Pace::Open { per_second: STEADY_RATE };
    Load { duration, pace, connections: 32, ..deployment.load(customers) }
}

/// Load on every gateway at once, with the keys of `customers` in turn.
pub(super) fn on_every_gateway(
    deployment: &Deployment,
    customers: &[Customer],
    shape: impl Fn(Load) -> Load,
) -> JoinSet<Result<LoadResult, DrillError>> {
    let mut loads = JoinSet::new();
    for gateway in deployment.gateways() {
        let load = shape(Load { target: gateway.address(), ..deployment.load(customers) });
        loads.spawn(async move { Ok(load.run().await?) });
    }
    loads
}

/// Runs `load` and, while it runs, `harm`. Adds the answers to the books.
pub(super) async fn under_load<H>(load: Load, books: &mut Books, harm: H) -> Result<(), DrillError>
where
    H: Future<Output = Result<(), DrillError>>,
{
    let (result, harmed) = tokio::join!(load.run(), harm);
    harmed?;
    books.add(&result?);
    Ok(())
}

/// Kills a server at a random moment of the margin, and starts it again after the time `away`.
pub(super) async fn outage<P: Program>(
    server: &mut Option<Server<P>>,
    margin: Duration,
    away: Duration,
) -> Result<(), DrillError> {
    some_moment(margin).await;
    on_server(server, Server::kill).await?;
    sleep(away).await;
    on_server(server, Server::restart).await
}

/// Halts a server at a random moment of the margin: its connections stay open and nothing answers.
pub(super) async fn stall<P: Program>(server: Option<&Server<P>>, times: Times) -> Result<(), DrillError> {
    let server = server.ok_or_else(missing::<P>)?;
    some_moment(times.margin).await;
    server.pause()?;
    sleep(times.stalled).await;
    Ok(server.resume()?)
}

/// Runs a blocking action on a server, on a thread of its own.
pub(super) async fn on_server<P: Program>(
    server: &mut Option<Server<P>>,
    act: fn(&mut Server<P>) -> Result<(), ServerError>,
) -> Result<(), DrillError> {
    let mut taken = server.take().ok_or_else(missing::<P>)?;
    let (taken, outcome) = spawn_blocking(move || {
        let outcome = act(&mut taken);
        (taken, outcome)
    })
    .await?;
    *server = Some(taken);
    Ok(outcome?)
}

/// The deployment has no such server, so that nothing can be proved.
fn missing<P: Program>() -> ServerError {
    ServerError::NotRunning(P::NAME.into())
}

/// Sleeps for a random time, `at_most` so long.
pub(super) async fn some_moment(at_most: Duration) {
    let milliseconds = rand::rng().random_range(0..u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX).max(1));
    sleep(Duration::from_millis(milliseconds)).await;
}
