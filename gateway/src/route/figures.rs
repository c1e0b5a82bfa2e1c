//! The figures of a route: counters and histogram that its requests count in, looked up by their
//! labels once.

use std::{
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::metrics;

/// Upper bounds of the latency buckets, in seconds: fine where gateways live, coarse where
/// upstreams dawdle.
const BUCKETS: [f64; 16] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Statuses whose counters are kept at hand, in order. Others are looked up each time.
const STATUSES: [u16; 32] = [
    0, 101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 413,
    415, 422, 429, 431, 499, 500, 502, 503, 504,
];

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counters(
        "tollgate_http_requests_total",
        "Requests by route and answered status; status 499 is a client that left before its answer",
        &["route", "status"],
    )
});

static SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::histograms(
        "tollgate_http_request_seconds",
        "Time from the request's header to the end of its answer",
        &["route"],
        &BUCKETS,
    )
});

static ADMISSION: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::histograms(
        "tollgate_http_admission_seconds",
        "Time that the gateway adds to a request before its upstream is asked: from the request's header to the choice \
         of a server",
        &["route"],
        &BUCKETS,
    )
});

/// The figures of one route.
#[derive(Default)]
pub(crate) struct Figures {
    seconds: OnceLock<Histogram>,
    admission: OnceLock<Histogram>,
    requests: [OnceLock<IntCounter>; STATUSES.len()],
}

impl Figures {
    /// Counts a request of the route of this name that was answered with `status`; 0 is nothing.
    pub(crate) fn count(&self, route: &str, status: u16, elapsed: Duration) {
        match STATUSES.binary_search(&status) {
            Ok(place) => self.requests[place].get_or_init(|| counter(route, status)).inc(),
            Err(_) => counter(route, status).inc(),
        }
        self.seconds.get_or_init(|| SECONDS.with_label_values(&[route])).observe(elapsed.as_secs_f64());
    }

    /// Counts the time from the header of a request of the route of this name to the first choice
    /// of a server.
    pub(crate) fn admitted(&self, route: &str, elapsed: Duration) {
        self.admission.get_or_init(|| ADMISSION.with_label_values(&[route])).observe(elapsed.as_secs_f64());
    }

    /// Counts a request without an answer's time.
    pub(crate) fn count_unread(route: &str, status: u16) {
        counter(route, status).inc();
    }
}

fn counter(route: &str, status: u16) -> IntCounter {
    REQUESTS.with_label_values(&[route, &status.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_by_status_whether_or_not_it_is_at_hand() {
        assert!(STATUSES.is_sorted());
        let figures = Figures::default();
        for status in [200, 200, 418, 0, 504] {
            figures.count("figures", status, Duration::from_millis(3));
        }
        let counted = |status| counter("figures", status).get();
        assert_eq!([200, 418, 0, 504, 201].map(counted), [2, 1, 1, 1, 0]);
        assert_eq!(SECONDS.with_label_values(&["figures"]).get_sample_count(), 5);
        // A route of the same name after a reload counts on.
        Figures::default().count("figures", 200, Duration::ZERO);
        assert_eq!(counted(200), 3);
    }
}
