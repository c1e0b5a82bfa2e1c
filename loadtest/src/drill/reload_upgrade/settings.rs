//! The configurations that follow each other, and the servers that they name.
//!
//! Each has a number, and answers with it at `/generation`. The next one has another certificate,
//! other servers and time-outs of upstreams, and other routes; what clients use is in all of them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use servers::{Authority, GrpcServer, Identity};

use super::echo::EchoServer;
use crate::{
    deployment::{Deployment, DeploymentError},
    drill::error::DrillError,
    processes::free_address,
    upstream::{self, Upstream},
};

/// Path that answers with the number of the configuration.
pub(super) const GENERATION_PATH: &str = "/generation";

/// Routes that no client uses: enough that a configuration which is never freed would show.
const OTHER_ROUTES: u32 = 100;

/// Seconds for which an unused connection to a server is kept. Those to a server that was left out
/// stay for so long: they must not pass for memory that reloads take.
const IDLE_SECONDS: u32 = 2;

/// The servers of the configurations, and their certificates.
pub(super) struct Surroundings {
    plain: SocketAddr,
    tls: SocketAddr,
    /// The deployment's own, and one more.
    demo: [SocketAddr; 2],
    second: Upstream,
    grpc: GrpcServer,
    echo: [EchoServer; 2],
    identities: [Identity; 2],
    authorities: [PathBuf; 2],
}

impl Surroundings {
    pub(super) async fn start(deployment: &Deployment) -> Result<Self, DrillError> {
        let second = upstream::spawn(([127, 0, 0, 1], 0).into()).await.map_err(DeploymentError::from)?;
        let authority = |name: &str| Authority::create(deployment.directory(), name);
        let authorities = [authority("one")?, authority("two")?];
        Ok(Self {
            plain: deployment.gateway.address(),
            tls: free_address()?,
            demo: [deployment.upstream.address(), second.address()],
            second,
            grpc: GrpcServer::start().await?,
            echo: [EchoServer::start().await?, EchoServer::start().await?],
            identities: [authorities[0].sign("127.0.0.1")?, authorities[1].sign("127.0.0.1")?],
            authorities: authorities.map(|authority| authority.file()),
        })
    }

    /// Address of the listener with TLS.
    pub(super) fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// Files with the certificates of the authorities, one of which vouches for the gateway.
    pub(super) fn authorities(&self) -> &[PathBuf] {
        &self.authorities
    }

    /// Requests that the servers accepted, by key id, but for the deployment's own upstream.
    pub(super) fn accepted(&self) -> Result<BTreeMap<String, u64>, DrillError> {
        let mut accepted = self.grpc.accepted()?;
        let others = [self.second.accepted().by_key, self.echo[0].accepted(), self.echo[1].accepted()];
        for (key, count) in others.into_iter().flatten() {
            *accepted.entry(key).or_default() += count;
        }
        Ok(accepted)
    }

    /// The routes of configuration `number`.
    pub(super) fn routes(number: u32) -> Value {
        let mut routes = vec![
            json!({ "name": "api", "path_prefix": "/v1", "strip_prefix": true, "upstream": "demo" }),
            json!({ "name": "calls", "path_prefix": "/test.Echo", "upstream": "grpc", "billable": ["200"] }),
            json!({
                "name": "chat", "path_prefix": "/chat", "upstream": "echo", "upgrade": ["websocket"],
                "billable": ["101"],
            }),
            json!({
                "name": "generation", "path": GENERATION_PATH, "public": true, "respond": { "body": number.to_string() },
            }),
        ];
        routes.extend((0..OTHER_ROUTES).map(|other| {
            let path = format!("/other/{number}/{other}");
            json!({ "name": format!("other-{other}"), "path_prefix": path, "upstream": "demo" })
        }));
        Value::Array(routes)
    }

    /// The other settings of configuration `number`.
    pub(super) fn further(&self, number: u32) -> Value {
        let turn = number as usize;
        let identity = &self.identities[turn % 2];
        let certificate = json!({ "certificate_file": identity.certificate, "key_file": identity.key });
        // Both servers, then either alone: some requests are under way to a server that is left out.
        let of = |servers: [SocketAddr; 2]| match turn % 3 {
            0 => json!(servers),
            one => json!([servers[one - 1]]),
        };
        let read_timeout_ms = 20_000 + number;
        let upstream = |servers: Value| {
            json!({
                "servers": servers, "read_timeout_ms": read_timeout_ms, "idle_seconds": IDLE_SECONDS, "essential": true,
            })
        };
        let mut grpc = upstream(json!([self.grpc.address]));
        grpc["protocol"] = json!("http2");
        json!({
            "listeners": [
                { "address": self.plain },
                { "address": self.tls, "http2": true, "tls": { "certificates": [certificate] } },
            ],
            "http2": { "without_tls": true },
            "upstreams": {
                "demo": upstream(of(self.demo)),
                "echo": upstream(of([self.echo[0].address, self.echo[1].address])),
                "grpc": grpc,
            },
        })
    }
}
