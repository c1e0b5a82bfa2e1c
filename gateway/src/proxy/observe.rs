//! The traces of a request that is over: a line in the access log, and its place in the metrics.
//!
//! Neither ever holds a credential: the query stays out of both, and so do all headers but
//! `User-Agent`.

use std::time::Instant;

use prometheus::{IntCounterVec, IntGauge};

use super::{abort::Abort, client::End, context::Context};
use crate::{
    access_log::{AccessLog, Line},
    answer::{Code, Problem},
    metrics,
    route::Figures,
};

/// Label of requests that found no route.
const NO_ROUTE: &str = "none";

/// The metrics of the request path.
pub(super) struct Observer {
    /// Requests that are being served.
    pub(super) in_flight: IntGauge,
    /// Answers whose units header could not be used.
    pub(super) units_unusable: IntCounterVec,
    aborts: IntCounterVec,
    malformed: IntCounterVec,
    /// The figures of requests that found no route.
    unrouted: Figures,
    access_log: AccessLog,
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
    /// Creates and registers the metrics. Lines go to `access_log`.
    pub(super) fn new(access_log: AccessLog) -> Self {
        Self {
            access_log,
            unrouted: Figures::default(),
            in_flight: metrics::gauge("tollgate_http_requests_in_flight", "Requests that are being served"),
            units_unusable: metrics::counters(
                "tollgate_units_unusable_total",
                "Answers whose units header was missing or made no sense, so that the route's default counted",
                &["route"],
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
        }
    }

    pub(super) fn observe(&self, context: &Context, exchange: Option<&Exchange<'_>>) {
        let elapsed = context.started.elapsed();
        let route = context.route.as_ref().map_or(NO_ROUTE, |route| &route.name);
        let (method, path) = context.kept_line.as_ref().map_or(("", ""), |(method, path)| (method, path));
        let cut_off = Exchange { method, path, user_agent: None, status: 0, bytes: 0 };
        let exchange = exchange.unwrap_or(&cut_off);
        let status = context.status.unwrap_or(exchange.status);
        let figures = context.route.as_ref().map_or(&self.unrouted, |route| &route.figures);
        figures.count(route, status, elapsed);
        if let Some(abort) = context.abort {
            self.aborts.with_label_values(&[route, abort.as_str()]).inc();
        }
        self.access_log.append(&Line {
            request_id: &context.request_id,
            client: context.source.client(),
            tenant: context.caller.as_ref().map(|caller| caller.tenant.id),
            key: context.caller.as_ref().map(|caller| caller.key.id),
            route,
            method: exchange.method,
            path: exchange.path,
            user_agent: exchange.user_agent,
            status,
            elapsed,
            upstream: context.tried.last().map(|server| server.address()),
            bytes: exchange.bytes,
            grpc_status: context.call.and_then(|call| call.status),
            code: context.code.map(Code::as_str),
            aborted: context.abort.map(Abort::as_str),
            ended: context.client.as_ref().and_then(|client| client.ended()).map(End::as_str),
            detail: None,
        });
    }
}

impl Observer {
    /// Logs and counts a request that was refused before it could be read: `status` is 0 if the
    /// client did not take the answer.
    pub(super) fn malformed(&self, request_id: &str, problem: &Problem, status: u16, started: Instant) {
        Figures::count_unread(NO_ROUTE, status);
        self.malformed.with_label_values(&[problem.code().as_str()]).inc();
        self.access_log.append(&Line {
            request_id,
            route: NO_ROUTE,
            status,
            elapsed: started.elapsed(),
            code: Some(problem.code().as_str()),
            detail: Some(problem.detail()),
            ..Line::default()
        });
    }
}
