//! A metric as its registration describes it, and the rules for its name.

use std::fmt;

/// Name, type, labels and meaning of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Names of its labels, in order.
    pub labels: Vec<String>,
    /// Its meaning, as its `HELP` line tells it.
    pub help: String,
    /// The crate that registers it.
    pub shown_by: Program,
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// The program that shows a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// All programs that serve.
    All,
    /// `gateway`.
    Gateway,
    /// `billing serve`, `billing ingest`, or both.
    Billing,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

impl Metric {
    /// The unit that its name ends in; none for plain numbers.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        match name {
            _ if name.ends_with("_timestamp_seconds") => "seconds since 1970",
            _ if name.ends_with("_seconds") => "seconds",
            _ if name.ends_with("_bytes") => "bytes",
            _ => "",
        }
    }

    /// Faults by the conventions of Prometheus: prefix, characters, `_total`, base units, labels.
    pub fn faults(&self) -> Vec<String> {
        let Self { name, kind, labels, help, .. } = self;
        let is_word =
            |text: &str| text.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_');
        let mut faults = Vec::new();
        let mut fault = |is_one: bool, text: &str| {
            if is_one {
                faults.push(format!("{name}: {text}"));
            }
        };
        fault(!name.starts_with("tollgate_") || !is_word(name), "the name is tollgate_ and lower-case words");
        fault((*kind == Kind::Counter) != name.ends_with("_total"), "counters, and only these, end in _total");
        fault(*kind == Kind::Histogram && self.unit().is_empty(), "a histogram names its unit");
        let derived = ["_ms", "_millis", "_micros", "_minutes", "_hours", "_kib", "_mib", "_kilobytes", "_percent"];
        let bare = name.trim_end_matches("_total");
        fault(derived.iter().any(|unit| bare.ends_with(unit)), "units are base units: seconds, bytes");
        let suffixes = ["_count", "_sum", "_bucket", "_info"];
        fault(
            suffixes.iter().any(|one| name.ends_with(one)) && name != "tollgate_build_info",
            "the suffix is reserved",
        );
        fault(help.is_empty(), "it has no meaning");
        for label in labels {
            fault(!is_word(label), "labels are lower-case words");
            let reserved = ["le", "quantile", "job", "instance"];
            fault(reserved.contains(&label.as_str()) || label.starts_with("__"), "the label is reserved");
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, kind: Kind, labels: &[&str]) -> Metric {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Metric { name: name.into(), kind, labels, help: "Something".into(), shown_by: Program::All }
    }

    #[test]
    fn names_against_the_conventions_are_faults() {
        for (name, kind, labels) in [
            ("tollgate_requests", Kind::Counter, &[] as &[&str]),
            ("tollgate_requests_total", Kind::Gauge, &[]),
            ("tollgate_wait_ms", Kind::Gauge, &[]),
            ("tollgate_wait", Kind::Histogram, &[]),
            ("tollgate_wait_seconds_count", Kind::Gauge, &[]),
            ("requests_total", Kind::Counter, &[]),
            ("tollgate_Requests_total", Kind::Counter, &[]),
            ("tollgate_requests_total", Kind::Counter, &["instance"]),
            ("tollgate_requests_total", Kind::Counter, &["Tenant"]),
        ] {
            assert_eq!(metric(name, kind, labels).faults().len(), 1, "{name}");
        }
        assert_eq!(metric("tollgate_wait_seconds", Kind::Histogram, &["route"]).faults(), [] as [String; 0]);
    }
}
