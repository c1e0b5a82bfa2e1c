//! Faults of the Redis that a limit is shared through, and the time until gateways noticed them.

use std::time::{Duration, Instant};

use gateway::limit::bank::{LEASE, SHARDS};
use serde::Serialize;
use servers::Redis;
use tokio::time::sleep;

use super::{
    super::{error::DrillError, harm::on_server},
    report::{every_gateway, waits},
};
use crate::deployment::Deployment;

/// A fault of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// Redis is killed, and starts again empty.
    Killed,
    /// Redis is halted with its connections open, and goes on with its data.
    Paused,
    /// Redis loses all data and scripts, and serves on.
    Flushed,
}

/// Beginning and end of a fault, as gateways noticed them.
#[derive(Debug, Clone, Copy)]
pub(super) struct FaultSpan {
    pub(super) began: Instant,
    /// The moment when every gateway shared its limits again and no lease from before was left.
    pub(super) over: Instant,
    /// Longest time for which some gateways were back while others were not.
    pub(super) some_back: Duration,
    /// Requests that waited for Redis after every gateway had noticed that it is away.
    pub(super) waited: u64,
}

impl Fault {
    /// Every kind.
    pub(super) const ALL: [Self; 3] = [Self::Killed, Self::Paused, Self::Flushed];

    /// Returns true if what gateways had in hand is forgotten.
    pub(super) const fn loses_data(self) -> bool {
        matches!(self, Self::Killed | Self::Flushed)
    }

    /// Returns true if gateways are alone for a while.
    pub(super) const fn is_outage(self) -> bool {
        matches!(self, Self::Killed | Self::Paused)
    }

    /// Lets the fault happen to the deployment's Redis. An outage lasts for `away`.
    pub(super) async fn happen(self, deployment: &mut Deployment, away: Duration) -> Result<FaultSpan, DrillError> {
        let began = Instant::now();
        let mut waited = 0;
        match self {
            Self::Killed => on_server(&mut deployment.redis, Redis::kill).await?,
            Self::Paused => on_server(&mut deployment.redis, |redis| redis.pause()).await?,
            Self::Flushed => on_server(&mut deployment.redis, |redis| redis.flush()).await?,
        }
        if self.is_outage() {
            every_gateway(deployment, |report| report.limits.shards_away == SHARDS).await?;
            let before = waits(deployment).await?;
            sleep(away.saturating_sub(began.elapsed())).await;
            waited = waits(deployment).await? - before;
        }
        match self {
            Self::Killed => on_server(&mut deployment.redis, Redis::restart).await?,
            Self::Paused => on_server(&mut deployment.redis, |redis| redis.resume()).await?,
            Self::Flushed => {}
        }
        let none_back = Instant::now();
        every_gateway(deployment, |report| report.limits.shared).await?;
        let some_back = if self.is_outage() { none_back.elapsed() } else { Duration::ZERO };
        Ok(FaultSpan { began, over: Instant::now() + Duration::from_nanos(LEASE), some_back, waited })
    }
}
