//! Counts of the decisions of a server, from its own metrics: from outside, a denial is a 200 like
//! any other.

use std::net::SocketAddr;

use super::CompareError;
use crate::processes;

/// Path of the metrics, in the text format of Prometheus.
const METRICS_PATH: &str = "/metrics";

/// End of the metric's name, for gateway and limiter alike.
const METRIC: &str = "_decisions_total";

/// The decisions that count.
const ALLOWED: &str = "outcome=\"allow\"";

/// Requests that the server with metrics at `address` has let pass so far.
pub(super) async fn allowed(address: SocketAddr) -> Result<u64, CompareError> {
    let failed = |source| CompareError::System { what: format!("cannot read the metrics at {address}"), source };
    Ok(count(&processes::get(address, METRICS_PATH).await.map_err(failed)?.body))
}

fn count(metrics: &str) -> u64 {
    let samples = metrics.lines().filter_map(|line| line.split_once('{'));
    let labelled = samples.filter(|(name, _)| name.ends_with(METRIC)).filter_map(|(_, rest)| rest.split_once('}'));
    let allowed = labelled.filter(|(labels, _)| labels.split(',').any(|label| label == ALLOWED));
    allowed.filter_map(|(_, value)| value.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_decisions_count_in_every_mode() {
        let metrics = "\
# TYPE tollgate_decisions_total counter
tollgate_decisions_total{mode=\"consume\",outcome=\"allow\"} 41
tollgate_decisions_total{mode=\"consume\",outcome=\"rate_limited\"} 7
tollgate_decisions_total{mode=\"peek\",outcome=\"allow\"} 1
tollgate_requests_total{outcome=\"allow\"} 9
";
        assert_eq!(count(metrics), 42);
        assert_eq!(count(""), 0);
    }
}
