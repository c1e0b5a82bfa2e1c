//! A server that is measured: its process, and how a round of it goes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use servers::Authority;

use super::{
    Measure, Sample, Server, handshakes,
    peers::{self, Place},
    requests::{Requests, STREAMS},
};
use crate::{
    compare::{CompareError, Options, fixture::Fixture, usage},
    process_stat,
    processes::{self, GatewayOptions, GatewayProcess, Process},
};

/// Sent before each measurement, so that caches are warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// A server that is measured.
pub(super) struct Contestant {
    server: Server,
    address: SocketAddr,
    process: Process,
    authority: PathBuf,
    requests: Requests,
}

/// The outcome of a loop.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) done: u64,
    pub(super) failed: u64,
    /// The first failure.
    pub(super) reason: Option<String>,
    pub(super) seconds: f64,
}

impl Count {
    pub(super) fn fail(&mut self, reason: String) {
        self.failed += 1;
        self.reason.get_or_insert(reason);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.reason = self.reason.take().or(other.reason);
    }
}

impl Contestant {
    /// Starts all servers, each on the contestants' core; `without_nginx`: bare Pingora and the
    /// gateway.
    pub(super) async fn start_all(fixture: &Fixture, options: &Options) -> Result<Vec<Self>, CompareError> {
        let authority = Authority::create(fixture.directory(), "authority")?;
        let identity = authority.sign("127.0.0.1")?;
        let mut contestants = Vec::new();
        let peers = if options.without_nginx { &Server::PEERS[..1] } else { &Server::PEERS[..] };
        for server in peers.iter().copied().chain([Server::Gateway]) {
            let address = processes::free_address()?;
            let place = Place { fixture, address, identity: &identity, authority: &authority.file() };
            let process = match server {
                Server::Pingora => peers::pingora(&place).await?,
                Server::Nginx => peers::nginx(&place).await?,
                Server::Haproxy => peers::haproxy(&place).await?,
                Server::Envoy => peers::envoy(&place).await?,
                Server::Gateway => gateway(&place).await?,
            };
            let requests = Requests::new(address, &fixture.keys)?;
            contestants.push(Self { server, address, process, authority: authority.file(), requests });
        }
        Ok(contestants)
    }

    pub(super) fn server(&self) -> Server {
        self.server
    }

    /// One measure in one round: warm-up, then a closed loop.
    pub(super) async fn measure(
        &mut self,
        measure: Measure,
        fixture: &mut Fixture,
        options: &Options,
    ) -> Result<Sample, CompareError> {
        let connections = options.connections.div_ceil(STREAMS);
        let mut warm = self.repeat(measure, fixture, connections, WARM_UP).await?;
        let before = self.cpu_seconds()?;
        let count = self.repeat(measure, fixture, connections, Duration::from_secs(options.seconds.into())).await?;
        let spent = self.cpu_seconds()? - before;
        Ok(Sample {
            per_second: count.done as f64 / count.seconds,
            cpu_us: spent * 1e6 / count.done.max(1) as f64,
            core_busy: spent / count.seconds,
            failed: warm.failed + count.failed,
            reason: warm.reason.take().or(count.reason),
        })
    }

    /// Ends once everything that was received is booked.
    async fn repeat(
        &self,
        measure: Measure,
        fixture: &mut Fixture,
        connections: u16,
        span: Duration,
    ) -> Result<Count, CompareError> {
        let (address, authority) = (self.address, self.authority.as_path());
        match measure {
            Measure::FullHandshake => handshakes::run(address, authority, false, span).await,
            Measure::ResumedHandshake => handshakes::run(address, authority, true, span).await,
            Measure::Http2 => {
                let (count, by_key) = self.requests.send(address, authority, connections, span).await?;
                if self.server == Server::Gateway {
                    for (key, answers) in by_key {
                        *fixture.received.entry(key).or_default() += answers;
                    }
                    fixture.unanswered += count.failed;
                    usage::wait_until_booked(fixture).await?;
                }
                Ok(count)
            }
        }
    }

    fn cpu_seconds(&self) -> Result<f64, CompareError> {
        Ok(process_stat::cpu_seconds(self.process.pid()?)?)
    }
}

async fn gateway(place: &Place<'_>) -> Result<Process, CompareError> {
    let (certificate, key): (&Path, &Path) = (&place.identity.certificate, &place.identity.key);
    let tls = json!({ "certificates": [{ "certificate_file": certificate, "key_file": key }] });
    let further = json!({ "listeners": [{ "address": place.address, "http2": true, "tls": tls }] });
    let options = GatewayOptions { listen: place.address, further, ..place.fixture.gateway() };
    Ok(GatewayProcess::start(options).await?.process)
}
