//! The rows: each a server at an address, measured in the same way.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    CompareError, Options, decisions,
    figures::{Figures, Round},
    kind::Kind,
    site::Site,
    usage,
};
use crate::{
    fleet::{FleetError, ServerProcess},
    load::{Load, LoadResult, Pace, Request},
    process_stat,
};

/// Sent before each measurement, so that connections stand and caches are warm.
const WARM_UP: Duration = Duration::from_secs(1);

/// A server that is measured.
pub(super) struct Contestant {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    /// None for the upstream, which the site runs for all rows.
    pub(super) process: Option<ServerProcess>,
    /// What it is asked, in turn, each labelled with its key's id.
    pub(super) requests: Vec<Request>,
    /// Where it counts its decisions, if it only decides.
    pub(super) metrics: Option<SocketAddr>,
}

/// CPU used so far, in seconds.
struct Spent {
    own: f64,
    /// By Redis, if it works for this row.
    redis: Option<f64>,
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
        let (_, denied_first) = self.send(site, options, Pace::Closed, WARM_UP).await?;
        let allowed = self.allowed().await?;
        let before = self.spent(site)?;
        let closed = self.load(options, Pace::Closed, span).run().await?;
        let at_end = self.spent(site)?;
        let denied_closed = self.book(site, &closed, allowed).await?;
        let after = self.spent(site)?;
        let resident_mib = process_stat::resident_mib(self.pid(site)?)?;
        let (open, denied_open) = self.send(site, options, Pace::Open { per_second: options.rate }, span).await?;
        let per_100k = |seconds: f64| seconds * 100_000.0 / closed.received.max(1) as f64;
        let redis = after.redis.zip(before.redis).map(|(after, before)| per_100k(after - before));
        Ok(Round {
            figures: Figures {
                requests_per_second: closed.per_second(),
                cpu_seconds_per_100k: per_100k(after.own - before.own),
                redis_cpu_seconds_per_100k: redis,
                core_busy: (at_end.own - before.own) / closed.seconds,
                closed_p99_us: closed.latency.p99_us,
                p50_us: open.latency.p50_us,
                p99_us: open.latency.p99_us,
                resident_mib,
            },
            failed: closed.failures.total() + open.failures.total(),
            refused: not_ok(&closed) + not_ok(&open) + denied_first + denied_closed + denied_open,
            by_status: statuses([&closed, &open]),
            unsent: open.unsent,
        })
    }

    fn pid(&self, site: &Site) -> Result<u32, FleetError> {
        let process = self.process.as_ref().unwrap_or(&site.upstream);
        process.pid().ok_or_else(|| FleetError::NotRunning { name: process.name().to_owned() })
    }

    fn spent(&self, site: &Site) -> Result<Spent, CompareError> {
        let redis = site.redis.as_ref().filter(|_| self.kind.uses_redis());
        let redis = redis.map(stack::Server::pid).transpose()?;
        let redis = redis.map(process_stat::cpu_seconds).transpose()?;
        Ok(Spent { own: process_stat::cpu_seconds(self.pid(site)?)?, redis })
    }

    /// Requests that it let pass so far, if it only decides.
    async fn allowed(&self) -> Result<Option<u64>, CompareError> {
        match self.metrics {
            Some(metrics) => decisions::allowed(metrics).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends it and waits until it is booked; says how many were denied as well.
    async fn send(
        &self,
        site: &mut Site,
        options: &Options,
        pace: Pace,
        duration: Duration,
    ) -> Result<(LoadResult, u64), CompareError> {
        let allowed = self.allowed().await?;
        let result = self.load(options, pace, duration).run().await?;
        let denied = self.book(site, &result, allowed).await?;
        Ok((result, denied))
    }

    fn load(&self, options: &Options, pace: Pace, duration: Duration) -> Load {
        let connections = options.connections.into();
        Load { connections, pace, duration, ..Load::new(self.address, self.requests.clone()) }
    }

    /// Notes what was received and is to be billed and waits until it is booked, so that neither the gateway's drain nor
    /// billing's work falls into another row's time. Says how many of the answers were denials: they are 200s like any
    /// other decision, so only the server knows, who had let `allowed` requests pass before.
    async fn book(&self, site: &mut Site, result: &LoadResult, allowed: Option<u64>) -> Result<u64, CompareError> {
        let newly_allowed = self.allowed().await?.zip(allowed).map(|(now, before)| now - before);
        let denied = newly_allowed.map_or(0, |allowed| ok(result).saturating_sub(allowed));
        if self.kind.records_usage() {
            for (key, by_status) in &result.by_label {
                *site.received.entry(key.clone()).or_default() += by_status.get(&200).copied().unwrap_or(0);
            }
            site.unanswered += result.failures.total();
            site.denied += denied;
            usage::wait_until_booked(site).await?;
        }
        Ok(denied)
    }
}

/// Answers other than 200.
fn statuses(results: [&LoadResult; 2]) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for (status, count) in
        results.into_iter().flat_map(|result| &result.by_status).filter(|(status, _)| **status != 200)
    {
        *counts.entry(*status).or_default() += count;
    }
    counts
}

fn ok(result: &LoadResult) -> u64 {
    result.by_status.get(&200).copied().unwrap_or(0)
}

fn not_ok(result: &LoadResult) -> u64 {
    result.received - ok(result)
}
