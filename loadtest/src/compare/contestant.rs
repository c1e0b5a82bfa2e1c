//! The rows: each a server at an address, measured in the same way.

use std::{net::SocketAddr, time::Duration};

use super::{
    CompareError, Options,
    figures::{Figures, Round},
    nginx, process_stat,
    site::Site,
    usage,
};
use crate::{
    fleet::{self, FleetError, GatewayOptions, GatewayProcess, Launch, ServerProcess, UsageSink, wait_ready},
    load::{Load, LoadResult, Pace},
};

/// Sent before each measurement, so that connections stand and caches are warm.
const WARM_UP: Duration = Duration::from_secs(1);

/// Which row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Upstream,
    Pingora,
    Nginx,
    Gateway,
}

/// A server that is measured.
pub(super) struct Contestant {
    kind: Kind,
    address: SocketAddr,
    /// None for the upstream, which the site runs for all rows.
    process: Option<ServerProcess>,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream alone",
            Self::Pingora => "bare Pingora",
            Self::Nginx => "nginx",
            Self::Gateway => "gateway",
        }
    }

    pub(super) const fn switched_on(self) -> &'static str {
        match self {
            Self::Upstream => {
                "no proxy: the client and the upstream share the other cores, which shows how far they reach; CPU and \
                 memory are the upstream's own"
            }
            Self::Pingora => {
                "pass-through with 1 thread, no work stealing, mimalloc, keepalive pool of 1024, as the gateway; no log"
            }
            Self::Nginx => nginx::SWITCHED_ON,
            Self::Gateway => {
                "everything: keys, route, limits per second, minute and day of key and tenant, monthly quota, identity \
                 headers, access log to a file, usage journal, drain over HTTP to billing; its CPU includes the drain"
            }
        }
    }
}

/// Starts every row; the upstream runs already.
pub(super) async fn start_all(site: &Site, options: &Options) -> Result<Vec<Contestant>, CompareError> {
    let upstream = Contestant { kind: Kind::Upstream, address: site.upstream_address, process: None };
    let mut contestants = vec![upstream, start_pingora(site).await?];
    if !options.without_nginx {
        contestants.push(start_nginx(site).await?);
    }
    contestants.push(start_gateway(site).await?);
    Ok(contestants)
}

async fn start_pingora(site: &Site) -> Result<Contestant, CompareError> {
    let listen = fleet::free_address()?;
    let mut process = ServerProcess::start(Launch {
        name: "passthrough".into(),
        program: fleet::binary("passthrough")?,
        arguments: vec![
            "--listen".into(),
            listen.to_string().into(),
            "--upstream".into(),
            site.upstream_address.to_string().into(),
        ],
        directory: site.directory().to_owned(),
        cores: Some(site.cores.proxy()),
    })?;
    wait_ready(&mut process, listen, "/").await?;
    Ok(Contestant { kind: Kind::Pingora, address: listen, process: Some(process) })
}

async fn start_nginx(site: &Site) -> Result<Contestant, CompareError> {
    let listen = fleet::free_address()?;
    let process = nginx::start(site.directory(), listen, site.upstream_address, site.cores.proxy()).await?;
    Ok(Contestant { kind: Kind::Nginx, address: listen, process: Some(process) })
}

async fn start_gateway(site: &Site) -> Result<Contestant, CompareError> {
    let options = GatewayOptions::new(
        site.directory(),
        site.billing.store(),
        UsageSink::Http(site.billing.url()),
        site.upstream_address,
    );
    let gateway = GatewayProcess::start(GatewayOptions { cores: Some(site.cores.proxy()), ..options }).await?;
    Ok(Contestant { kind: Kind::Gateway, address: gateway.address(), process: Some(gateway.process) })
}

impl Contestant {
    pub(super) fn name(&self) -> &'static str {
        self.kind.name()
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// One round: warm-up, closed loop, open loop.
    pub(super) async fn measure(&mut self, site: &mut Site, options: &Options) -> Result<Round, CompareError> {
        let span = Duration::from_secs(options.seconds.into());
        self.send(site, options, Pace::Closed, WARM_UP).await?;
        let pid = self.pid(site)?;
        let before = process_stat::cpu_seconds(pid)?;
        let closed = self.load(site, options, Pace::Closed, span).run().await?;
        let at_end = process_stat::cpu_seconds(pid)?;
        self.book(site, &closed).await?;
        let after = process_stat::cpu_seconds(pid)?;
        let resident_mib = process_stat::resident_mib(pid)?;
        let open = self.send(site, options, Pace::Open { per_second: options.rate }, span).await?;
        Ok(Round {
            figures: Figures {
                requests_per_second: closed.per_second(),
                cpu_seconds_per_100k: (after - before) * 100_000.0 / closed.received.max(1) as f64,
                core_busy: (at_end - before) / closed.seconds,
                p50_us: open.latency.p50_us,
                p99_us: open.latency.p99_us,
                resident_mib,
            },
            failed: closed.failures.total() + open.failures.total(),
            refused: not_ok(&closed) + not_ok(&open),
            unsent: open.unsent,
        })
    }

    fn pid(&self, site: &Site) -> Result<u32, FleetError> {
        let process = self.process.as_ref().unwrap_or(&site.upstream);
        process.pid().ok_or_else(|| FleetError::NotRunning { name: process.name().to_owned() })
    }

    async fn send(
        &self,
        site: &mut Site,
        options: &Options,
        pace: Pace,
        duration: Duration,
    ) -> Result<LoadResult, CompareError> {
        let result = self.load(site, options, pace, duration).run().await?;
        self.book(site, &result).await?;
        Ok(result)
    }

    fn load(&self, site: &Site, options: &Options, pace: Pace, duration: Duration) -> Load {
        let connections = options.connections.into();
        Load { connections, pace, duration, ..Load::new(self.address, site.requests.clone()) }
    }

    /// Notes what was received from the gateway and waits until its usage is booked, so that neither its drain nor
    /// billing's work falls into another row's time.
    async fn book(&self, site: &mut Site, result: &LoadResult) -> Result<(), CompareError> {
        if self.kind != Kind::Gateway {
            return Ok(());
        }
        for (key, by_status) in &result.by_label {
            *site.received.entry(key.clone()).or_default() += by_status.get(&200).copied().unwrap_or(0);
        }
        site.unanswered += result.failures.total();
        usage::wait_until_booked(site).await
    }
}

fn not_ok(result: &LoadResult) -> u64 {
    result.by_status.iter().filter(|(status, _)| **status != 200).map(|(_, count)| count).sum()
}
