//! A Prometheus scrapes the real programs under load: what they show is what the page lists, and
//! every query of the dashboards and every recording rule returns data.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Command, time::Duration};

use deploy::metric::Metric;
use loadtest::{
    deployment::{Customer, Deployment, DeploymentOptions},
    processes::{self, BillingProcess},
};
use serde_json::{Value, json};
use servers::{DEADLINE, KafkaOptions, Process, eventually, within};

use crate::{
    files::{pass, root, text},
    metrics::registered,
    rules::names_in,
};

/// Pause between two looks at all queries.
const PAUSE: Duration = Duration::from_secs(1);

const DASHBOARDS: [&str; 4] = ["gateway", "usage", "money", "tenants"];

/// A Prometheus with a directory of its own.
struct Prometheus {
    _process: Process,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Prometheus {
    /// Starts it on the rules of the repository. Each target is a job and an address.
    async fn start(directory: &Path, targets: &[(&str, SocketAddr)]) -> Self {
        let jobs: Vec<_> = targets
            .iter()
            .map(|(job, address)| json!({ "job_name": job, "static_configs": [{ "targets": [address] }] }))
            .collect();
        let rules = root().join("deploy/prometheus/records.yaml");
        let settings = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules, rules.with_file_name("alerts.yaml")],
            "scrape_configs": jobs,
        });
        let config = directory.join("prometheus.yaml");
        std::fs::write(&config, serde_yaml::to_string(&settings).unwrap()).unwrap();
        let address = processes::free_address().unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("prometheus").display()))
            .arg(format!("--web.listen-address={address}"));
        let mut process = Process::new("prometheus", command, directory.join("prometheus.log"));
        process.start().unwrap();
        let client = reqwest::Client::new();
        let prometheus = Self { _process: process, address, client };
        let healthy = async || prometheus.get("/-/ready", &[]).await.is_some();
        eventually("Prometheus is ready", healthy).await;
        prometheus
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<String> {
        let url = reqwest::Url::parse_with_params(&format!("http://{}{path}", self.address), query).unwrap();
        let answer = self.client.get(url).send().await.ok()?;
        if answer.status().is_success() { answer.text().await.ok() } else { None }
    }

    /// The number of series that a query returns; none if it is refused.
    async fn series(&self, query: &str) -> Option<usize> {
        let answer: Value = serde_json::from_str(&self.get("/api/v1/query", &[("query", query)]).await?).ok()?;
        answer["data"]["result"].as_array().map(Vec::len)
    }
}

/// Queries of a dashboard, with the range of `$__rate_interval` filled in.
fn queries(dashboard: &str) -> Vec<String> {
    let file: Value = serde_json::from_str(&text(&format!("deploy/grafana/{dashboard}.json"))).unwrap();
    let panels = file["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "30s")).collect()
}

/// Compares a page of metrics in `OpenMetrics` with the registrations: type and labels of each
/// family.
fn assert_as_registered(page: &str, metrics: &BTreeMap<String, Metric>) -> usize {
    let mut seen = 0;
    for line in page.lines().filter(|line| line.starts_with("# TYPE tollgate_")) {
        let (family, kind) = line["# TYPE ".len()..].split_once(' ').unwrap();
        let name = if kind == "counter" { format!("{family}_total") } else { family.to_owned() };
        let metric = metrics.get(&name).unwrap_or_else(|| panic!("{name} is shown and not in docs/metrics.md"));
        assert_eq!(metric.kind.to_string(), kind, "{name}");
        for sample in page.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
            let labels = sample[name.len() + 1..].split_once('}').unwrap().0;
            let mut labels: Vec<_> = labels.split("\",").map(|label| label.split('=').next().unwrap()).collect();
            let mut expected: Vec<_> = metric.labels.iter().map(String::as_str).collect();
            labels.sort_unstable();
            expected.sort_unstable();
            assert_eq!(labels, expected, "{sample}");
        }
        seen += 1;
    }
    seen
}

/// Requests that are answered, and some that a limit refuses.
async fn load(deployment: &Deployment, customers: &[Customer]) {
    for customer in customers {
        let client = reqwest::Client::new();
        for _ in 0..60 {
            let url = deployment.gateway.url() + "/v1/hello";
            let _ = client.get(url).bearer_auth(&customer.key).send().await;
        }
    }
}

#[test]
fn dashboards_are_what_their_script_makes() {
    pass("python3", &["deploy/grafana/dashboards.py", "--check"]);
}

#[test]
fn dashboards_name_metrics_that_exist() {
    let known: Vec<_> = registered().into_iter().map(|metric| metric.name).collect();
    for dashboard in DASHBOARDS {
        for name in queries(dashboard).iter().flat_map(|query| names_in(query)) {
            assert!(known.contains(&name), "{dashboard}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_all_programs_and_every_panel_has_data() {
    let kafka = Some(KafkaOptions::default());
    let options = DeploymentOptions { kafka, redis: true, ..DeploymentOptions::default() };
    let deployment = Deployment::build(options).await.unwrap();
    let billing = BillingProcess::start(deployment.directory(), deployment.store(), 0).await.unwrap();
    let (gateway, ingest) = (deployment.gateway.admin(), deployment.ingest[0].address());
    let customers = [deployment.customer("Acme", "free").await.unwrap()];

    let metrics: BTreeMap<_, _> = registered().into_iter().map(|metric| (metric.name.clone(), metric)).collect();
    let targets = [("tollgate-gateway", gateway), ("tollgate-billing", billing.address()), ("tollgate-ingest", ingest)];
    let prometheus = Prometheus::start(deployment.directory(), &targets).await;
    let missing = async || {
        load(&deployment, &customers).await;
        let mut missing = Vec::new();
        for dashboard in DASHBOARDS {
            for query in queries(dashboard) {
                if prometheus.series(&query).await.unwrap_or_default() == 0 {
                    missing.push(format!("{dashboard}: {query}"));
                }
            }
        }
        missing
    };
    let mut last = Vec::new();
    let complete = async || {
        last = missing().await;
        last.is_empty()
    };
    let found = within(DEADLINE, PAUSE, complete).await;
    assert!(found.is_some(), "no data: {last:#?}");

    for record in ["tollgate:http_requests:error_ratio_5m", "tollgate:http_admission:slow_ratio_5m"] {
        let seen = async || prometheus.series(record).await.unwrap_or_default() > 0;
        eventually(record, seen).await;
    }
    let client = reqwest::Client::new();
    let mut families = 0;
    for (_, address) in targets {
        let page = client.get(format!("http://{address}/metrics")).header("Accept", "application/openmetrics-text");
        let page = page.send().await.unwrap().text().await.unwrap();
        assert!(page.ends_with("# EOF\n"), "{address} does not speak OpenMetrics");
        families += assert_as_registered(&page, &metrics);
    }
    assert!(families > 60, "only {families} families were shown");
}
