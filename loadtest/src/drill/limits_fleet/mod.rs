//! One limit, four gateways and a real Redis, at five times what the limit allows: over every
//! window of time, no more is admitted than `burst + rate x window`, and nearly as much. Then the
//! same while Redis is killed, paused and flushed.
//!
//! The client proves what it claims from its own times alone: see [`windows`]. A fault allows
//! something on top in the windows that touch it, and nothing in the others:
//!
//! - a loss of data: what was in all hands, which together is at most the burst
//! - an outage: what others drew since each gateway looked last, which is half a second ago at
//!   most. The load leaves nothing to draw but what refills.
//! - its end: one N-th of the rate for each gateway that is not back while another one is
//!
//! Nobody waits for a Redis that is known to be away, and every request is answered. That is
//! counted; how long answers took is told, and judged by nobody: machines differ.

mod fault;
pub(super) mod phase;
mod report;
mod windows;

use std::time::{Duration, Instant};

use fault::{Fault, FaultSpan};
use phase::LimitPhase;
use report::{every_gateway, failed_calls};
use tokio::{task::JoinSet, time::sleep};
use windows::{Bound, OnTop};

use super::{
    error::DrillError,
    harm::on_every_gateway,
    outcome::{Drill, Outcome, close},
};
use crate::{
    deployment::{Books, Customer, Deployment, DeploymentOptions},
    load::{Exchange, Load, LoadResult, Pace},
};

pub(super) const DRILL: Drill = Drill {
    name: "limits-fleet",
    about: "Redis killed, paused and flushed while four gateways share a limit at five times its load",
    faults: 3,
    run: |faults, times| Box::pin(run(faults, times.limited)),
};

const GATEWAYS: u32 = 4;

/// Requests per second that are allowed, and as many at once.
const RATE: u32 = 200;

/// Load as a multiple of the allowed rate.
const TIMES: u32 = 5;

/// Number of the tenant's keys. None has a limit of its own.
const KEYS: u32 = 4;

/// Connections to each gateway: more than are ever needed at once.
const CONNECTIONS: usize = 64;

/// Longest time for which a gateway does not see the draws of the others.
const LOOKS_WITHIN: Duration = Duration::from_millis(500);

/// Without load: the bucket is full again after one second, and what was in hand has gone back.
const REST: Duration = Duration::from_secs(3);

/// Least part of the allowed requests that is admitted while nothing is harmed. What the rate gave
/// during the longest answer does not count: the machine stood still, and a full bucket takes no
/// more.
const LEAST_USE: f64 = 0.98;

/// Phases without a fault that are tried before one passes without a failed call to Redis.
const ATTEMPTS: u32 = 5;

async fn run(faults: u32, lasts: Duration) -> Result<Outcome, DrillError> {
    let mut deployment =
        Deployment::build(DeploymentOptions { gateways: GATEWAYS, redis: true, ..DeploymentOptions::default() })
            .await?;
    let customers = limited_customer(&deployment).await?;
    let mut books = Books::default();
    let mut phases = vec![undisturbed(&mut deployment, &customers, &mut books, lasts).await?];
    let mut kinds = Fault::ALL.into_iter().cycle();
    for _ in 0..faults {
        sleep(REST).await;
        phases.push(phase(&mut deployment, &customers, &mut books, kinds.next(), lasts).await?);
    }
    let wrong = phases.iter().find_map(LimitPhase::wrong);
    let outcome = close(&DRILL, faults, deployment, books, wrong).await?;
    Ok(Outcome { phases, ..outcome })
}

/// Creates a customer that only the rate of all its keys together limits; returned once for each
/// key.
async fn limited_customer(deployment: &Deployment) -> Result<Vec<Customer>, DrillError> {
    let plan = format!(
        "plans:\n  - id: limited\n    name: Limited\n    currency: USD\n    flat_fee: \"0.00\"\n    \
         limits: {{ tenant: {{ per_second: {RATE} }} }}\n"
    );
    let file = deployment.directory().join("limited.yaml");
    std::fs::write(&file, plan)?;
    deployment.keyctl.apply_plans(&file).await?;
    let mut customers = vec![deployment.customer("Acme", "limited").await?];
    for number in 2..=KEYS {
        let customer = deployment.another_key(&customers[0], &format!("live-{number}")).await?;
        customers.push(customer);
    }
    // The first customer has a test key too.
    let keys = customers.len() + 1;
    every_gateway(deployment, |report| report.catalog.keys >= keys).await?;
    Ok(customers)
}

/// Load for a while in which nothing is harmed. On a machine that is busy with other things, a call
/// to Redis may come too late; then the gateway is cut off for a moment, and what it admits is on
/// top. Such a phase is repeated; the last one is reported with its failed calls, and only what
/// cut-off gateways may not do either counts as wrong.
async fn undisturbed(
    deployment: &mut Deployment,
    customers: &[Customer],
    books: &mut Books,
    lasts: Duration,
) -> Result<LimitPhase, DrillError> {
    let mut attempts = 1;
    loop {
        let before = failed_calls(deployment).await?;
        let phase = phase(deployment, customers, books, None, lasts).await?;
        let failed_calls = failed_calls(deployment).await? - before;
        if failed_calls == 0 || attempts == ATTEMPTS {
            return Ok(LimitPhase { failed_calls, ..phase });
        }
        attempts += 1;
        sleep(REST).await;
    }
}

/// Runs load, and in the second third of it the fault.
async fn phase(
    deployment: &mut Deployment,
    customers: &[Customer],
    books: &mut Books,
    fault: Option<Fault>,
    lasts: Duration,
) -> Result<LimitPhase, DrillError> {
    let pace = Pace::Open { per_second: RATE * TIMES / GATEWAYS };
    let loads = on_every_gateway(deployment, customers, |load| Load {
        duration: lasts,
        pace,
        connections: CONNECTIONS,
        traced: true,
        ..load
    });
    let mut harmed = None;
    if let Some(fault) = fault {
        sleep(lasts / 3).await;
        harmed = Some((fault, fault.happen(deployment, lasts / 3).await?));
    }
    let seen = finish(loads, books).await?;
    Ok(LimitPhase::new(&seen, harmed, lasts))
}

/// The client's view of a phase.
#[derive(Default)]
struct Seen {
    offered: u64,
    trace: Vec<Exchange>,
    unanswered: u64,
}

/// Waits for the load.
async fn finish(mut loads: JoinSet<Result<LoadResult, DrillError>>, books: &mut Books) -> Result<Seen, DrillError> {
    let mut seen = Seen::default();
    while let Some(result) = loads.join_next().await {
        let mut result = result??;
        books.add(&result);
        let others = result.by_status.iter().filter(|(status, _)| !matches!(status, 200 | 429));
        seen.unanswered += result.unsent + result.failures.total() + others.map(|(_, count)| count).sum::<u64>();
        seen.offered += result.requests + result.unsent;
        seen.trace.append(&mut result.trace);
    }
    Ok(seen)
}

impl LimitPhase {
    fn new(seen: &Seen, harmed: Option<(Fault, FaultSpan)>, lasts: Duration) -> Self {
        let trace = &seen.trace;
        let admitted: Vec<_> = trace.iter().filter(|exchange| exchange.status == 200).copied().collect();
        let rate = f64::from(RATE);
        let plain = Bound { rate, burst: rate, on_top: None };
        let on_top =
            harmed.map(|(fault, span)| OnTop { requests: on_top(fault, span), from: span.began, until: span.over });
        let allowed = rate + rate * lasts.as_secs_f64();
        let meanwhile = |due: Instant| harmed.is_none_or(|(_, span)| (span.began..=span.over).contains(&due));
        let latencies = trace.iter().filter(|exchange| meanwhile(exchange.due)).map(Exchange::latency);
        let (p99_ms, max_ms) = slowest(latencies.collect());
        Self {
            redis: harmed.map(|(fault, _)| fault),
            offered: seen.offered,
            admitted: admitted.len() as u64,
            allowed,
            used: admitted.len() as f64 / allowed,
            overshoot: plain.exceeded_by(&admitted),
            on_top: on_top.map_or(0.0, |on_top| on_top.requests),
            excess: Bound { on_top, ..plain }.exceeded_by(&admitted),
            failed_calls: 0,
            waited: harmed.map_or(0, |(_, span)| span.waited),
            p99_ms,
            max_ms,
            unanswered: seen.unanswered,
        }
    }

    /// The first target that was missed, in words.
    fn wrong(&self) -> Option<String> {
        let fault = self.redis.map_or_else(|| "undisturbed".into(), |fault| format!("{fault:?}").to_lowercase());
        let is_undisturbed = self.redis.is_none() && self.failed_calls == 0;
        if self.excess > 0.0 && (self.redis.is_some() || is_undisturbed) {
            return Some(format!("{fault}: {} requests above the bound in some window", self.excess));
        }
        let stood_still = f64::from(RATE) * self.max_ms / 1000.0;
        if is_undisturbed && (self.admitted as f64) < LEAST_USE * (self.allowed - stood_still) {
            return Some(format!("{fault}: {} of {} allowed requests admitted", self.admitted, self.allowed));
        }
        if self.unanswered > 0 {
            return Some(format!("{fault}: {} requests got neither yes nor no", self.unanswered));
        }
        (self.waited > 0).then(|| format!("{fault}: {} requests waited for a Redis that was away", self.waited))
    }
}

/// Requests that a fault allows on top; the module's opening has the reasons.
fn on_top(fault: Fault, span: FaultSpan) -> f64 {
    let rate = f64::from(RATE);
    let in_hands = if fault.loses_data() { rate } else { 0.0 };
    let drawn = if fault.is_outage() { rate * LOOKS_WITHIN.as_secs_f64() } else { 0.0 };
    in_hands + drawn + rate * span.some_back.as_secs_f64()
}

/// The 99th percentile of these times and the longest, in milliseconds.
fn slowest(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1e3;
    let last = times.len().saturating_sub(1);
    (times.get(last * 99 / 100).map_or(0.0, milliseconds), times.get(last).map_or(0.0, milliseconds))
}
