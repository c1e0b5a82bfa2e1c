//! The text in which metrics are shown: that of Prometheus, or `OpenMetrics` for those who ask for
//! it.

use std::fmt::Write as _;

use prometheus::{TEXT_FORMAT, TextEncoder, proto::MetricFamily};

/// Content type of `OpenMetrics`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics as text.
pub struct Exposition {
    /// Value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The metrics.
    pub text: String,
}

/// Writes metrics in `OpenMetrics` if the value of the header `Accept` names it, else in the text
/// format of Prometheus.
pub fn expose(families: &[MetricFamily], accept: Option<&str>) -> prometheus::Result<Exposition> {
    let text = TextEncoder::new().encode_to_string(families)?;
    if accept.is_some_and(accepts_open_metrics) {
        return Ok(Exposition { content_type: OPEN_METRICS, text: open_metrics(&text) });
    }
    Ok(Exposition { content_type: TEXT_FORMAT, text })
}

/// Returns true if a list of media types has `OpenMetrics` in it, and not with a quality of 0.
fn accepts_open_metrics(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        named && !parts.any(|part| matches!(part.strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000")))
    })
}

/// Rewrites the text format of Prometheus: a counter's family has its name without `_total`, quotes
/// in the help are escaped, and a line says that this is the end.
fn open_metrics(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 16);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let counts = lines.peek().is_some_and(|next| next.starts_with("# TYPE ") && next.ends_with(" counter"));
            let name = if counts { name.trim_end_matches("_total") } else { name };
            let _ = writeln!(written, "# HELP {name} {}", help.replace('"', "\\\""));
        } else if let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter")) {
            let _ = writeln!(written, "# TYPE {} counter", name.trim_end_matches("_total"));
        } else {
            written.push_str(line);
            written.push('\n');
        }
    }
    written.push_str("# EOF\n");
    written
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, IntGauge, Registry};

    use super::*;

    fn families() -> Vec<MetricFamily> {
        let registry = Registry::new();
        let counter = IntCounter::new("tollgate_seen_total", "Seen \"things\"").unwrap();
        counter.inc_by(3);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(IntGauge::new("tollgate_open", "Open ones").unwrap())).unwrap();
        registry.gather()
    }

    #[test]
    fn scraper_that_asks_for_open_metrics_gets_it() {
        let asked = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let shown = expose(&families(), Some(asked)).unwrap();
        assert_eq!(shown.content_type, OPEN_METRICS);
        let expected = "# HELP tollgate_open Open ones\n# TYPE tollgate_open gauge\ntollgate_open 0\n# HELP tollgate_seen Seen \
                        \\\"things\\\"\n# TYPE tollgate_seen counter\ntollgate_seen_total 3\n# EOF\n";
        assert_eq!(shown.text, expected);
    }

    #[test]
    fn others_get_the_text_format_of_prometheus() {
        for accept in [None, Some("text/plain"), Some("*/*"), Some("application/openmetrics-text;q=0")] {
            let shown = expose(&families(), accept).unwrap();
            assert_eq!(shown.content_type, TEXT_FORMAT);
            assert!(shown.text.contains("# TYPE tollgate_seen_total counter\n") && !shown.text.contains("EOF"));
        }
    }
}
