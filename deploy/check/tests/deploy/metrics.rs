//! docs/metrics.md is made from the registrations in the code, and names follow the conventions.

use std::fmt::Write as _;

use deploy::{
    metric::{Metric, Program},
    source,
};

use crate::files::{keep, root};

const TOP: &str = "# Metrics

Every metric of the programs, made from the code that registers it. A gateway shows its metrics at
`127.0.0.1:9901/metrics`, `billing serve` at `:8090/metrics`, `billing ingest` at `:8091/metrics`, in
the text format of Prometheus, or in OpenMetrics for scrapers that ask for it by `Accept`. All show
`process_*` beside these: processor time, memory, descriptors, threads, start.

Labels have few values. Only the families `tollgate_tenant_*` name tenants, and each shows the 20
tenants with the most: the number of series does not grow with the number of tenants. Usage of every
tenant is in the reports ([api](api.md)), which is what bills are made of.

Alerts and recording rules over these metrics are in `deploy/prometheus/`, dashboards in
`deploy/grafana/`; the [runbook](runbook.md) says what to do.
";

/// All metrics that the code registers.
pub(crate) fn registered() -> Vec<Metric> {
    source::metrics(&root()).unwrap()
}

#[test]
fn page_lists_every_metric_of_the_code() {
    let metrics = registered();
    let mut page = TOP.to_owned();
    for (title, program) in [
        ("Gateway", Program::Gateway),
        ("Billing (`billing serve`, `billing ingest`)", Program::Billing),
        ("All programs", Program::All),
    ] {
        let _ = write!(page, "\n## {title}\n\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n");
        for metric in metrics.iter().filter(|metric| metric.shown_by == program) {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind, unit) = (&metric.name, metric.kind, metric.unit());
            let help = metric.help.trim_end_matches('.').replace('|', "\\|");
            let _ = writeln!(page, "| `{name}` | {kind} | {} | {unit} | {help} |", labels.join(", "));
        }
    }
    assert!(metrics.len() > 80, "only {} metrics were found", metrics.len());
    keep("docs/metrics.md", &page);
}

#[test]
fn names_follow_the_conventions_and_stand_in_one_place() {
    let metrics = registered();
    let faults: Vec<_> = metrics.iter().flat_map(Metric::faults).collect();
    assert_eq!(faults, [] as [String; 0]);
    for pair in metrics.windows(2) {
        assert_ne!(pair[0].name, pair[1].name, "registered in two places");
    }
}

#[test]
fn only_families_of_the_largest_tenants_name_tenants() {
    for metric in registered() {
        let named = metric.labels.iter().any(|label| label == "tenant");
        assert_eq!(named, metric.name.starts_with("tollgate_tenant_"), "{}", metric.name);
        assert!(!metric.labels.iter().any(|label| label == "key" || label == "client"), "{}", metric.name);
    }
}
