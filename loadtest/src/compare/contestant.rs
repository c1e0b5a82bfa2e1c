//! The rows: each a server at an address, measured in the same way.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    CompareError, Options, decisions,
    figures::{Figures, Round},
    fixture::Fixture,
    kind::Kind,
    usage,
};
use crate::{
    load::{Load, LoadResult, Pace, Request},
    process_stat,
    processes::{Process, ProcessError},
};

/// Sent before each measurement, so that connections stand and caches are warm.
const WARM_UP: Duration = Duration::from_secs(1);

/// A server that is measured.
pub(super) struct Contestant {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    /// None for the upstream, which the fixture runs for all rows.
    pub(super) process: Option<Process>,
    /// Requests that it gets in turn, each labelled with the id of its key.
    pub(super) requests: Vec<Request>,
    /// Address of its metrics, if it only decides.
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
    pub(super) async fn measure(&mut self, fixture: &mut Fixture, options: &Options) -> Result<Round, CompareError> {
        let span = Duration::from_secs(options.seconds.into());
        let (_, denied_first) = self.send(fixture, options, Pace::Closed, WARM_UP).await?;
        let allowed = self.allowed().await?;
        let before = self.spent(fixture)?;
        let closed = self.load(options, Pace::Closed, span).run().await?;
        let at_end = self.spent(fixture)?;
        let denied_closed = self.book(fixture, &closed, allowed).await?;
        let after = self.spent(fixture)?;
        let resident_mib = process_stat::resident_mib(self.pid(fixture)?)?;
        let (open, denied_open) = self.send(fixture, options, Pace::Open { per_second: options.rate }, span).await?;
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

    fn pid(&self, fixture: &Fixture) -> Result<u32, ProcessError> {
        let process = self.process.as_ref().unwrap_or(&fixture.upstream);
        Ok(process.pid()?)
    }

    fn spent(&self, fixture: &Fixture) -> Result<Spent, CompareError> {
        let redis = fixture.redis.as_ref().filter(|_| self.kind.uses_redis());
        let redis = redis.map(servers::Server::pid).transpose()?;
        let redis = redis.map(process_stat::cpu_seconds).transpose()?;
        Ok(Spent { own: process_stat::cpu_seconds(self.pid(fixture)?)?, redis })
    }

    /// Requests that it let pass so far, if it only decides.
    async fn allowed(&self) -> Result<Option<u64>, CompareError> {
        match self.metrics {
            Some(metrics) => decisions::allowed(metrics).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends the load and waits until it is booked. Also returns the number of denials.
    async fn send(
        &self,
        fixture: &mut Fixture,
        options: &Options,
        pace: Pace,
        duration: Duration,
    ) -> Result<(LoadResult, u64), CompareError> {
        let allowed = self.allowed().await?;
        let result = self.load(options, pace, duration).run().await?;
        let denied = self.book(fixture, &result, allowed).await?;
        Ok((result, denied))
    }

    fn load(&self, options: &Options, pace: Pace, duration: Duration) -> Load {
        let connections = options.connections.into();
        Load { connections, pace, duration, ..Load::new(self.address, self.requests.clone()) }
    }

    /// Notes what was received and is to be billed and waits until it is booked, so that neither
    /// the gateway's drain nor billing's work falls into another row's time. Says how many of
    /// the answers were denials: they are 200s like any other decision, so only the server
    /// knows, who had let `allowed` requests pass before.
    async fn book(
        &self,
        fixture: &mut Fixture,
        result: &LoadResult,
        allowed: Option<u64>,
    ) -> Result<u64, CompareError> {
        let newly_allowed = self.allowed().await?.zip(allowed).map(|(now, before)| now - before);
        let denied = newly_allowed.map_or(0, |allowed| ok(result).saturating_sub(allowed));
        if self.kind.records_usage() {
            for (key, by_status) in &result.by_label {
                *fixture.received.entry(key.clone()).or_default() += by_status.get(&200).copied().unwrap_or(0);
            }
            fixture.unanswered += result.failures.total();
            fixture.denied += denied;
            usage::wait_until_booked(fixture).await?;
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
