//! Health and metrics of the gateways.

use std::time::Duration;

use serde::Deserialize;
use servers::within;

use super::super::error::DrillError;
use crate::{
    deployment::{Deployment, DeploymentError},
    processes::{self, GatewayProcess},
};

/// Longest time until gateways notice something.
const PATIENCE: Duration = Duration::from_mins(1);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A part of `/health/ready`.
#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) catalog: Catalog,
    pub(super) limits: Limits,
}

/// The gateway's catalog.
#[derive(Deserialize)]
pub(super) struct Catalog {
    pub(super) keys: usize,
}

/// The state of the gateway's limits.
#[derive(Deserialize)]
pub(super) struct Limits {
    pub(super) shared: bool,
    pub(super) shards_away: usize,
}

/// Waits until every gateway reports so.
pub(super) async fn every_gateway(deployment: &Deployment, is_so: impl Fn(&Report) -> bool) -> Result<(), DrillError> {
    for gateway in deployment.gateways() {
        let noticed = within(PATIENCE, LOOK_EVERY, async || report(gateway).await.map(|report| is_so(&report)));
        noticed.await.ok_or_else(|| DrillError::Patience("a gateway does not notice what happened".into()))??;
    }
    Ok(())
}

async fn report(gateway: &GatewayProcess) -> Result<Report, DrillError> {
    let answer = processes::get(gateway.admin(), "/health/ready").await?;
    Ok(serde_json::from_str(&answer.body).map_err(DeploymentError::from)?)
}

/// Requests that have waited for Redis so far, on all gateways.
pub(super) async fn waits(deployment: &Deployment) -> Result<u64, DrillError> {
    sum_of(deployment, "tollgate_bank_waits_total").await
}

/// Calls to Redis that have failed so far, on all gateways.
pub(super) async fn failed_calls(deployment: &Deployment) -> Result<u64, DrillError> {
    sum_of(deployment, "tollgate_bank_errors_total").await
}

async fn sum_of(deployment: &Deployment, name: &str) -> Result<u64, DrillError> {
    let mut sum = 0;
    for gateway in deployment.gateways() {
        let metrics = processes::get(gateway.admin(), "/metrics").await?.body;
        let series = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values = series.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()));
        let values: Vec<_> = values.collect();
        let of_gateway = if values.is_empty() { None } else { values.into_iter().sum::<Option<u64>>() };
        sum += of_gateway.ok_or_else(|| DrillError::Patience(format!("a gateway does not show {name}")))?;
    }
    Ok(sum)
}
