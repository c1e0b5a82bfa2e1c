//! The servers of an upstream harmed under load: one is killed, halted, slowed, answers garbage,
//! resets connections, or moves to another address.
//!
//! Two clients send at once. The requests of one may be repeated, and its route tries them again: none
//! of them fails. Those of the other may not: at most as many fail as the policy lets through until
//! the server is left out. Each answer that a client received has one record, and there is no other
//! record.

mod books;
mod fault;
mod faulty_relay;
mod nodes;

use std::time::Duration;

use fault::Fault;
use nodes::Nodes;
use serde_json::{Value, json};
use servers::within;

use super::{
    error::DrillError,
    harm::Times,
    outcome::{Drill, Outcome},
};
use crate::{
    deployment::{Customer, Deployment, DeploymentOptions},
    load::{Load, LoadResult, Pace, Request},
    processes,
};

pub(super) const DRILL: Drill = Drill {
    name: "upstream-faults",
    about: "servers of an upstream killed, halted, slowed, answering garbage, resetting, moving",
    faults: 12,
    run: |faults, times| Box::pin(run(faults, times)),
};

/// Requests per second that may be repeated.
const REPEATABLE_RATE: u32 = 200;

/// Requests per second that may not.
const OTHER_RATE: u32 = 40;

/// Connections of the client whose requests may not be repeated.
const OTHER_CONNECTIONS: usize = 8;

/// Failed requests in a row until a server is ejected.
const EJECTED_AFTER: u64 = 3;

/// Times that an ejected server can come back during a fault, and fail once each time.
const RETURNS: u64 = 4;

/// Longest time until all servers are up again.
const PATIENCE: Duration = Duration::from_mins(1);

/// The clients of the drill.
struct Clients {
    repeatable: Load,
    other: Load,
}

/// The clients' counts.
#[derive(Default)]
struct ClientCounts {
    repeatable: LoadResult,
    other: LoadResult,
}

async fn run(faults: u32, times: Times) -> Result<Outcome, DrillError> {
    let mut deployment = Deployment::build(DeploymentOptions::default()).await?;
    let customers =
        [deployment.customer("Acme", "enterprise").await?, deployment.customer("Globex", "enterprise").await?];
    let mut nodes = Nodes::start(deployment.directory()).await?;
    deployment.gateway.reload_with(upstream(&nodes), routes())?;
    all_up(&deployment).await?;
    let mut books = books::FaultBooks::default();
    for number in 0..faults {
        let fault = Fault::ALL[number as usize % Fault::ALL.len()];
        let clients = Clients::of(&deployment, &customers, times);
        let retries = retries(&deployment).await?;
        let (repeatable, other, harmed) =
            tokio::join!(clients.repeatable.run(), clients.other.run(), fault.happen(&mut nodes, times));
        harmed?;
        let seen = ClientCounts { repeatable: repeatable?, other: other? };
        let retries = self::retries(&deployment).await? - retries;
        seen.tell(fault, retries);
        books.add(&seen);
        all_up(&deployment).await?;
    }
    let allowed = u64::from(faults) * (EJECTED_AFTER + OTHER_CONNECTIONS as u64 + RETURNS);
    books.close(&DRILL, faults, allowed, deployment).await
}

impl Clients {
    fn of(deployment: &Deployment, customers: &[Customer; 2], times: Times) -> Self {
        let load = |customer: &Customer, method: &str, path: &str, per_second: u32, connections: usize| {
            let request = Request {
                method: method.into(),
                ..Request::get(&customer.key_id.to_string(), path).bearer(&customer.key)
            };
            Load {
                requests: vec![request],
                pace: Pace::Open { per_second },
                connections,
                duration: times.margin * 2 + times.halted(),
                ..deployment.load(std::slice::from_ref(customer))
            }
        };
        let [one, other] = customers;
        Self {
            repeatable: load(one, "GET", "/again/hello", REPEATABLE_RATE, 64),
            other: load(other, "POST", "/again/hello", OTHER_RATE, OTHER_CONNECTIONS),
        }
    }
}

impl Times {
    /// Time for which a server is at fault.
    fn halted(&self) -> Duration {
        self.stalled.min(Duration::from_secs(4))
    }
}

impl ClientCounts {
    /// One line about a fault, for whoever watches.
    #[expect(
        clippy::print_stderr,
        reason = "the drill's outcome is on standard output, its progress on standard error"
    )]
    fn tell(&self, fault: Fault, retries: u64) {
        let line = |name: &str, load: &LoadResult| {
            format!(
                "{name}: {} answers by status {:?}, {} without one",
                load.received,
                load.by_status,
                load.failures.total()
            )
        };
        let (one, other) = (line("repeatable", &self.repeatable), line("others", &self.other));
        eprintln!("  {:<8} {one}; {other}; {retries} retries", fault.name());
    }
}

/// The upstream with all its nodes, and the policy of the drill.
fn upstream(nodes: &Nodes) -> Value {
    json!({
        "servers": nodes.servers(),
        "read_timeout_ms": 8_000,
        "balance": "least_loaded",
        "dns": { "servers": [nodes.dns_server()] },
        "health": { "interval_seconds": 1, "timeout_ms": 1_000, "healthy_after": 1 },
        "ejection": { "failures": EJECTED_AFTER, "seconds": 1 },
        "retry_budget": { "percent": 20, "least": 100 },
    })
}

fn routes() -> Value {
    let retries =
        json!({ "most": 3, "on": ["connect", "reset", "timeout", "502", "503", "504"], "per_try_timeout_ms": 500 });
    json!([{ "name": "again", "path_prefix": "/again", "strip_prefix": true, "upstream": "demo", "retries": retries }])
}

/// Waits until the gateway finds every server up and none ejected.
async fn all_up(deployment: &Deployment) -> Result<(), DrillError> {
    let is_up = within(PATIENCE, Duration::from_millis(100), async || {
        let answer = processes::get(deployment.gateway.admin(), "/health/ready").await?;
        let report: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let demo = &report["upstreams"]["demo"];
        Ok::<_, DrillError>(demo["status"] == "up" && demo["servers"] == nodes::SERVERS)
    });
    is_up.await.transpose()?.ok_or_else(|| DrillError::Patience("all servers of the upstream are up".into()))
}

/// Requests that the gateway has tried again so far.
async fn retries(deployment: &Deployment) -> Result<u64, DrillError> {
    let metrics = processes::get(deployment.gateway.admin(), "/metrics").await?.body;
    let mut lines =
        metrics.lines().filter_map(|line| line.strip_prefix("tollgate_upstream_retries_total{upstream=\"demo\"} "));
    Ok(lines.find_map(|count| count.parse().ok()).unwrap_or(0))
}
