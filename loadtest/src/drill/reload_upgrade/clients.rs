//! The clients of the drill, one of each kind, each with a key of its own.

use std::time::Duration;

use serde_json::Value;
use servers::GrpcLoad;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{
    counts::{ClientCounts, Tally},
    http2,
    settings::Surroundings,
    websocket,
};
use crate::{
    deployment::{Customer, Deployment},
    drill::error::DrillError,
    load::{Load, LoadError, LoadResult, Pace, Request, Stages},
};

/// Requests of HTTP/1.1 per second.
const RATE: u32 = 150;

/// Connections of HTTP/1.1.
const CONNECTIONS: usize = 16;

/// Longest run: the clients are told when it is enough.
const LENGTH_MAX: Duration = Duration::from_hours(1);

/// Bytes of a body that comes back.
const BODY_BYTES: usize = 20_000;

/// Names of the clients of gRPC, as their results are called.
const UNARY: &str = "grpc_unary";
const STREAM: &str = "grpc_stream";

/// The clients while they send.
pub(super) struct Clients {
    stop: watch::Sender<bool>,
    stages: Stages,
    http1: JoinHandle<Result<LoadResult, LoadError>>,
    http1_key: String,
    tasks: Vec<(Tally, JoinSet<()>)>,
    grpc: GrpcLoad,
    grpc_keys: [String; 2],
}

impl Clients {
    pub(super) async fn start(deployment: &Deployment, surroundings: &Surroundings) -> Result<Self, DrillError> {
        let mut customers = Vec::new();
        for name in ["Acme", "Globex", "Initech", "Umbrella", "Hooli"] {
            customers.push(deployment.customer(name, "enterprise").await?);
        }
        let [one, two, three, four, five] = &customers[..] else { unreachable!("as many as there are names") };
        let target = deployment.gateway.address();
        let (stop, stopped) = watch::channel(false);
        let load = http1(deployment, one);
        let stages = load.stages.clone();
        let http1 = tokio::spawn(async move { load.run().await });
        let over_http2 = Tally::new("http2", &two.key_id.to_string());
        let sockets = Tally::new("websocket", &three.key_id.to_string());
        let tasks = vec![
            (over_http2.clone(), http2::start(surroundings, &two.key, over_http2, stopped.clone())?),
            (sockets.clone(), websocket::start(target, &three.key, sockets, stopped)),
        ];
        let grpc = GrpcLoad::start(target, [(UNARY, &four.key), (STREAM, &five.key)])?;
        let grpc_keys = [four, five].map(|customer| customer.key_id.to_string());
        Ok(Self { stop, stages, http1, http1_key: one.key_id.to_string(), tasks, grpc, grpc_keys })
    }

    /// Ends all clients and returns their counts.
    pub(super) async fn end(self) -> Result<Vec<ClientCounts>, DrillError> {
        self.stop.send_replace(true);
        self.stages.end();
        let said = self.grpc.end().await?;
        let mut counts = vec![of_load(&self.http1.await??, &self.http1_key)];
        for (tally, mut tasks) in self.tasks {
            while let Some(ended) = tasks.join_next().await {
                ended?;
            }
            counts.push(tally.counts());
        }
        let grpc = [UNARY, STREAM].into_iter().zip(self.grpc_keys);
        counts.extend(grpc.map(|(protocol, key)| of_grpc(protocol, &key, &said[protocol])));
        Ok(counts)
    }
}

/// Requests of HTTP/1.1: short ones, ones with a body, and ones that take a while.
fn http1(deployment: &Deployment, customer: &Customer) -> Load {
    let label = customer.key_id.to_string();
    let request = |path: &str| Request::get(&label, path).bearer(&customer.key);
    let body = Request { method: "POST".into(), body: vec![b'x'; BODY_BYTES], ..request("/v1/echo") };
    Load {
        requests: vec![request("/v1/hello"), body, request("/v1/slow/50")],
        pace: Pace::Open { per_second: RATE },
        connections: CONNECTIONS,
        duration: LENGTH_MAX,
        ..Load::new(deployment.gateway.address(), Vec::new())
    }
}

fn of_load(load: &LoadResult, key: &str) -> ClientCounts {
    let answered = load.received_of(key, 200);
    let failed = load.requests - answered;
    let reason = format!("{:?}, by status {:?}", load.failures, load.by_status);
    let reasons = if failed > 0 { vec![reason] } else { Vec::new() };
    ClientCounts { requests: load.requests, answered, failed, reasons, ..ClientCounts::of("http1", key) }
}

fn of_grpc(protocol: &'static str, key: &str, said: &Value) -> ClientCounts {
    let count = |name: &str| said[name].as_u64().unwrap_or(0);
    let reasons = said["reasons"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let (answered, failed) = (count("answered"), count("failed"));
    ClientCounts { requests: answered + failed, answered, failed, reasons, ..ClientCounts::of(protocol, key) }
}
