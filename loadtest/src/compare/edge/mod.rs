//! TLS and HTTP/2 of the gateway beside nginx, HAProxy, Envoy and a bare Pingora, in one
//! interleaved run.
//!
//! Every server has the same certificate and speaks TLS 1.3 with the same cipher suite and the same
//! group: the client offers no others. Each round measures every server in turn, and ratios are
//! taken within a round. The gateway checks keys, counts limits and records usage as always; its
//! usage must add up in the end.

mod client;
mod contestant;
mod handshakes;
mod peers;
mod report;
mod requests;

use std::collections::BTreeMap;

use contestant::Contestant;
pub use report::{EdgeReport, Measured, Ratio, Sample};
use serde::Serialize;

use super::{CompareError, Options, fixture::Fixture, kind::Contest, proxies, usage};

/// The kind of work that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Handshakes of clients that come for the first time.
    FullHandshake,
    /// Handshakes of clients that bring a ticket of the handshake before.
    ResumedHandshake,
    /// Requests over HTTP/2 on connections that stand.
    Http2,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Server {
    /// A pass-through with nothing but Pingora.
    #[serde(rename = "pingora")]
    Pingora,
    /// nginx.
    #[serde(rename = "nginx")]
    Nginx,
    /// HAProxy.
    #[serde(rename = "haproxy")]
    Haproxy,
    /// Envoy.
    #[serde(rename = "envoy")]
    Envoy,
    /// The gateway, with everything on.
    #[serde(rename = "gateway")]
    Gateway,
}

impl Measure {
    const ALL: [Self; 3] = [Self::FullHandshake, Self::ResumedHandshake, Self::Http2];

    const fn name(self) -> &'static str {
        match self {
            Self::FullHandshake => "full handshakes",
            Self::ResumedHandshake => "resumed handshakes",
            Self::Http2 => "HTTP/2 requests",
        }
    }
}

impl Server {
    /// Servers that the gateway is compared with.
    const PEERS: [Self; 4] = [Self::Pingora, Self::Nginx, Self::Haproxy, Self::Envoy];

    const fn name(self) -> &'static str {
        match self {
            Self::Pingora => "pingora",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Gateway => "gateway",
        }
    }

    /// The features that it has switched on and off.
    const fn switched_on(self) -> &'static str {
        match self {
            Self::Pingora => {
                "pass-through with 1 thread, no work stealing, mimalloc, rustls as Pingora sets it up (sessions in \
                 memory); no log"
            }
            Self::Nginx => "reverse proxy with 1 worker, OpenSSL, tickets, upstream keepalive; access log off",
            Self::Haproxy => "1 thread, OpenSSL, tickets, connections to servers always reused; no log",
            Self::Envoy => {
                "1 worker thread, BoringSSL; no access log; it sends tickets with its first answer only, so each \
                 resumed handshake comes with a request"
            }
            Self::Gateway => {
                "everything: keys, limits, quota, identity headers, access log to a file, usage journal, drain over \
                 HTTP to billing; rustls, tickets; its CPU includes the drain"
            }
        }
    }
}

/// Measures every server. Each step is announced to `progress`.
pub async fn run(options: &Options, mut progress: impl FnMut(&str)) -> Result<EdgeReport, CompareError> {
    progress("starting upstream, billing and what is compared");
    let mut fixture = Fixture::build(&proxies::CUSTOMERS).await?;
    let mut contestants = Contestant::start_all(&fixture, options).await?;
    let mut samples = BTreeMap::<_, Vec<Sample>>::new();
    for round in 1..=options.rounds {
        for measure in Measure::ALL {
            for contestant in &mut contestants {
                let (server, rounds) = (contestant.server(), options.rounds);
                progress(&format!("round {round} of {rounds}: {} of {}", measure.name(), server.name()));
                let sample = contestant.measure(measure, &mut fixture, options).await?;
                samples.entry((measure, server)).or_default().push(sample);
            }
        }
    }
    progress("comparing usage with what the client received");
    let usage = usage::check(&fixture, Contest::Proxies).await?;
    Ok(EdgeReport::new(options.clone(), samples, usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs the binaries `gateway`, `billing`, `upstream` and `passthrough` of the same profile.
    #[tokio::test]
    async fn short_comparison_of_edges_reports_correct_usage() {
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            return;
        }
        let options =
            Options { edge: true, without_nginx: true, rounds: 1, seconds: 1, connections: 8, ..Options::default() };
        let report = run(&options, |_| ()).await.unwrap();
        assert!(report.usage.holds, "{report}");
        let rows: Vec<_> = report.rows.iter().map(|row| (row.measure, row.server)).collect();
        let both = |measure| [(measure, Server::Pingora), (measure, Server::Gateway)];
        assert_eq!(rows, Measure::ALL.map(both).as_flattened());
        // A request waits for the first block of its quota so long and no longer: on a machine that is
        // busy enough, some are refused.
        let works = |row: &Measured| row.median.per_second > 0.0 && (row.measure == Measure::Http2 || row.failed == 0);
        assert!(report.rows.iter().all(works), "{report}");
        assert_eq!(report.ratios[&Measure::Http2].keys().collect::<Vec<_>>(), ["gateway/pingora"]);
    }
}
