//! Metrics of requests, by route.

use std::time::Instant;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Counters and timings of requests. A route is a pattern such as `/v1/keys/{key}`, so that the
/// number of routes is bounded.
#[derive(Clone)]
pub struct RequestMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl RequestMetrics {
    /// Metrics that `registry` collects.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("tollgate_api_requests_total", "Requests of the business API, by route and status"),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("tollgate_api_request_seconds", "Time until the answer of the business API begins"),
            &["route"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { requests, seconds })
    }
}

/// The metrics, and the route whose requests a layer counts.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) metrics: RequestMetrics,
    pub(super) route: &'static str,
}

/// Counts a request once it is answered.
pub(super) async fn count(State(counted): State<Counted>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method_label(request.method());
    let response = next.run(request).await;
    let Counted { metrics, route } = counted;
    metrics.requests.with_label_values(&[method, route, response.status().as_str()]).inc();
    metrics.seconds.with_label_values(&[route]).observe(start.elapsed().as_secs_f64());
    response
}

/// The method, or `other`, as clients may send any number of methods.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
