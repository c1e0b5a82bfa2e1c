//! What gateways say of themselves.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::sleep;

use super::DrillError;
use crate::{
    fleet::{self, GatewayProcess},
    house::{House, HouseError},
};

/// How long gateways may take to notice something.
const PATIENCE: Duration = Duration::from_mins(1);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A part of `/health/ready`.
#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) catalog: Catalog,
    pub(super) limits: Limits,
}

/// What it knows.
#[derive(Deserialize)]
pub(super) struct Catalog {
    pub(super) keys: usize,
}

/// Whether its limits are shared.
#[derive(Deserialize)]
pub(super) struct Limits {
    pub(super) shared: bool,
    pub(super) shards_away: usize,
}

/// Waits until every gateway reports so.
pub(super) async fn every_gateway(house: &House, is_so: impl Fn(&Report) -> bool) -> Result<(), DrillError> {
    let deadline = Instant::now() + PATIENCE;
    for gateway in house.gateways() {
        while !is_so(&report(gateway).await?) {
            if Instant::now() > deadline {
                return Err(DrillError::Patience("a gateway does not notice what happened".into()));
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

async fn report(gateway: &GatewayProcess) -> Result<Report, DrillError> {
    let answer = fleet::get(gateway.admin(), "/health/ready").await?;
    Ok(serde_json::from_str(&answer.body).map_err(HouseError::from)?)
}

/// How many requests have waited for Redis so far, on all gateways.
pub(super) async fn waits(house: &House) -> Result<u64, DrillError> {
    let mut sum = 0;
    for gateway in house.gateways() {
        let metrics = fleet::get(gateway.admin(), "/metrics").await?.body;
        let waits = metrics.lines().find_map(|line| line.strip_prefix("tollgate_bank_waits_total "));
        let waits = waits.and_then(|waits| waits.parse::<u64>().ok());
        sum += waits.ok_or_else(|| DrillError::Patience("a gateway does not count who waits for Redis".into()))?;
    }
    Ok(sum)
}
