//! The traces of a request that is over: a line in the access log, and its place in the metrics.
//!
//! Neither ever holds a credential: the query stays out of both, and so do all headers but
//! `User-Agent`.

use std::time::Instant;

use prometheus::{HistogramVec, IntCounterVec, IntGauge};
use tracing::info;

use super::{abort::Abort, client::End, context::Context};
use crate::{
    answer::{Code, Problem},
    metrics,
};

/// Target of access lines, by which the subscriber tells them from operational logs.
pub const ACCESS_TARGET: &str = "access";

/// Upper bounds of the latency buckets, in seconds: fine where gateways live, coarse where
/// upstreams dawdle.
const BUCKETS: [f64; 16] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Longest method of an access line, in bytes; no method that is in use is longer.
const METHOD_MAX_BYTES: usize = 32;

/// Longest user agent of an access line, in bytes.
const USER_AGENT_MAX_BYTES: usize = 256;

/// Label of requests that found no route.
const NO_ROUTE: &str = "none";

/// The metrics of the request path.
pub(super) struct Observer {
    /// Requests that are being served.
    pub(super) in_flight: IntGauge,
    /// Answers whose units header could not be used.
    pub(super) units_unusable: IntCounterVec,
    requests: IntCounterVec,
    aborts: IntCounterVec,
    malformed: IntCounterVec,
    seconds: HistogramVec,
}

/// The parts of a request that only the session knows.
pub(super) struct Exchange<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) user_agent: Option<&'a [u8]>,
    /// 0 if nothing was answered.
    pub(super) status: u16,
    pub(super) bytes: usize,
}

impl Observer {
    /// Creates and registers the metrics.
    pub(super) fn new() -> Self {
        Self {
            in_flight: metrics::gauge("tollgate_http_requests_in_flight", "Requests that are being served"),
            units_unusable: metrics::counters(
                "tollgate_units_unusable_total",
                "Answers whose units header was missing or made no sense, so that the route's default counted",
                &["route"],
            ),
            requests: metrics::counters(
                "tollgate_http_requests_total",
                "Requests by route and answered status; status 499 is a client that left before its answer",
                &["route", "status"],
            ),
            aborts: metrics::counters(
                "tollgate_http_aborts_total",
                "Requests whose client left, by how they went on: incomplete (ended before all of the request had come), \
                 cancelled, finished, cut_off (took too long, or too many bytes), failed (the upstream did)",
                &["route", "outcome"],
            ),
            malformed: metrics::counters(
                "tollgate_http_malformed_total",
                "Requests that were refused while their header was read, by the code of the problem",
                &["code"],
            ),
            seconds: metrics::histograms(
                "tollgate_http_request_seconds",
                "Time from the request's header to the end of its answer",
                &["route"],
                &BUCKETS,
            ),
        }
    }

    pub(super) fn observe(&self, context: &Context, exchange: Option<&Exchange<'_>>) {
        let elapsed = context.started.elapsed();
        let route = context.route.as_ref().map_or(NO_ROUTE, |route| &route.name);
        let (method, path) = context.kept_line.as_ref().map_or(("", ""), |(method, path)| (method, path));
        let cut_off = Exchange { method, path, user_agent: None, status: 0, bytes: 0 };
        let exchange = exchange.unwrap_or(&cut_off);
        let status = context.status.unwrap_or(exchange.status);
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        if let Some(abort) = context.abort {
            self.aborts.with_label_values(&[route, abort.as_str()]).inc();
        }
        self.seconds.with_label_values(&[route]).observe(elapsed.as_secs_f64());
        info!(
            target: ACCESS_TARGET,
            request_id = context.request_id,
            client = context.source.client().map(tracing::field::display),
            tenant = context.caller.as_ref().map(|caller| tracing::field::display(caller.tenant.id)),
            key = context.caller.as_ref().map(|caller| tracing::field::display(caller.key.id)),
            route,
            method = shortened(exchange.method, METHOD_MAX_BYTES),
            path = exchange.path,
            user_agent = exchange.user_agent.map(String::from_utf8_lossy).as_deref().map(|text| shortened(text, USER_AGENT_MAX_BYTES)),
            status,
            latency_ms = elapsed.as_secs_f64() * 1_000.0,
            upstream = context.tried.last().map(|server| tracing::field::display(server.address())),
            bytes = exchange.bytes,
            grpc_status = context.call.and_then(|call| call.status),
            code = context.code.map(Code::as_str),
            aborted = context.abort.map(Abort::as_str),
            ended = context.client.as_ref().and_then(|client| client.ended()).map(End::as_str),
        );
    }
}

impl Observer {
    /// Logs and counts a request that was refused before it could be read: `status` is 0 if the
    /// client did not take the answer.
    pub(super) fn malformed(&self, request_id: &str, problem: &Problem, status: u16, started: Instant) {
        self.requests.with_label_values(&[NO_ROUTE, &status.to_string()]).inc();
        self.malformed.with_label_values(&[problem.code().as_str()]).inc();
        info!(
            target: ACCESS_TARGET,
            request_id,
            route = NO_ROUTE,
            method = "",
            path = "",
            status,
            latency_ms = started.elapsed().as_secs_f64() * 1_000.0,
            bytes = 0,
            code = problem.code().as_str(),
            detail = problem.detail(),
        );
    }
}

/// The text's beginning, of so many bytes at most.
fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
