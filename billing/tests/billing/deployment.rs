//! A place of its own for each test: settings, a pepper and a store, and the real binary working on
//! them.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use common::{
    id::{KeyId, TenantId},
    key::{Mode, Pepper},
    plan::{PlanFile, REQUESTS_METER},
    store::Store,
    tenant::{Tenant, TenantKind, lifecycle::NewTenant},
    time::Micros,
    usage::{BATCH_CONTENT_TYPE, BATCH_PATH, StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use reqwest::{Client, Response};
use serde_json::Value;
use servers::Process;
pub(crate) use servers::{DEADLINE, eventually};
use tempfile::TempDir;

const PEPPER: &str = "0123456789abcdef";

/// A directory with settings, pepper and, once opened, a store.
pub(crate) struct Deployment {
    directory: TempDir,
    /// Of the store, unless it is a file in the directory.
    url: Option<String>,
}

/// A running `billing serve` or `billing ingest`. Dropping it kills the process.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: String,
    client: Client,
}

impl Deployment {
    pub(crate) fn new() -> Self {
        Self::with_store(None)
    }

    /// One whose store is elsewhere; with none, it is a file in the directory.
    pub(crate) fn with_store(url: Option<String>) -> Self {
        let deployment = Self { directory: tempfile::tempdir().unwrap(), url };
        std::fs::write(deployment.path("pepper"), PEPPER).unwrap();
        deployment.write_settings("127.0.0.1:0");
        deployment
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone().unwrap_or_else(|| format!("sqlite://{}", self.path("tollgate.db").display()))
    }

    pub(crate) fn write_settings(&self, listen: &str) {
        let settings =
            format!("listen: {listen}\nstore: {}\npepper_file: pepper\ningest: {{ late_days: 3650 }}\n", self.url());
        std::fs::write(self.path("billing.yaml"), settings).unwrap();
    }

    /// Adds the program that typesets documents to the settings.
    pub(crate) fn typeset_documents(&self, seconds: u32) {
        let (file, program) = (self.path("billing.yaml"), servers::documents_program().unwrap());
        let settings = std::fs::read_to_string(&file).unwrap();
        let documents = format!("documents: {{ program: {}, timeout_seconds: {seconds} }}\n", program.display());
        std::fs::write(file, settings + &documents).unwrap();
    }

    /// The store, up to date, with the shipped plans and a root tenant of this id.
    pub(crate) async fn store(&self) -> (Store, TenantId) {
        let (store, _) = Store::open_and_migrate(&self.url()).await.unwrap();
        let plans = PlanFile::parse(include_str!("../../../config/plans.yaml"), "plans.yaml").unwrap().plans;
        store.apply_plans(&plans, instant("2026-01-01T00:00:00Z")).await.unwrap();
        let root = NewTenant {
            parent: None,
            kind: TenantKind::Root,
            name: "Root".into(),
            zone: "UTC".parse().unwrap(),
            plan: None,
        };
        let root = store.create_tenant(&root, instant("2026-01-01T00:00:00Z")).await.unwrap();
        (store, root.id)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_billing"));
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.directory.path())
            .env_remove("TOLLGATE_STORE")
            .env_remove("TOLLGATE_PEPPER")
            .env_remove("TOLLGATE_KAFKA")
            .env_remove("TOLLGATE_BOOTSTRAP_TOKEN")
            .env("RUST_LOG", "billing=debug")
            .stdin(Stdio::null());
    }

    /// Starts `billing serve` with at most so many open descriptors.
    pub(crate) async fn serve_with_descriptors(&self, most: u32) -> Server {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_billing"), "serve", "--config", "billing.yaml"]);
        self.prepare(&mut command);
        Self::wait_for_start(command, "serving").await
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::from(self.command(arguments));
        tokio::time::timeout(DEADLINE, command.kill_on_drop(true).output()).await.unwrap().unwrap()
    }

    /// Starts `billing serve` and waits until it says where it listens.
    pub(crate) async fn serve(&self) -> Server {
        self.start(&["serve", "--config", "billing.yaml"], "serving").await
    }

    /// Starts a command that stays, and waits for the event that says where it listens.
    pub(crate) async fn start(&self, arguments: &[&str], event: &str) -> Server {
        Self::wait_for_start(self.command(arguments), event).await
    }

    async fn wait_for_start(command: Command, event: &str) -> Server {
        let mut process = Process::captured("billing", command).unwrap();
        process.start().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut server = Server { process, address: String::new(), client: Client::new() };
        let started = server.logged(event).await;
        server.address.push_str(started["listen"].as_str().unwrap());
        server
    }
}

impl Server {
    /// The first log line of this event, once it is there.
    pub(crate) async fn logged(&self, event: &str) -> Value {
        eventually(event, async || self.log_of(event).into_iter().next()).await
    }

    /// Waits for a line of stderr that is no log line and contains `text`.
    pub(crate) async fn complains(&self, text: &str) {
        let is_there = || self.log().iter().any(|line| line.as_str().is_some_and(|line| line.contains(text)));
        eventually(text, async || is_there()).await;
    }

    /// All log lines of this event so far.
    pub(crate) fn log_of(&self, event: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["event"] == event).collect()
    }

    /// All lines of stderr so far; those that are no log lines as texts.
    fn log(&self) -> Vec<Value> {
        let lines = self.process.log().lines();
        lines.into_iter().map(|line| serde_json::from_str(&line).unwrap_or(Value::String(line))).collect()
    }

    /// Hands in bytes as a gateway does; `adjust` may spoil the request.
    pub(crate) async fn hand_in(
        &self,
        bytes: Vec<u8>,
        adjust: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Response {
        let request = self.client.post(format!("http://{}{BATCH_PATH}", self.address)).body(bytes);
        adjust(request).send().await.unwrap()
    }

    /// Hands in a batch with the right token and type.
    pub(crate) async fn post(&self, bytes: Vec<u8>) -> Response {
        self.hand_in(bytes, |request| request.bearer_auth(token()).header("content-type", BATCH_CONTENT_TYPE)).await
    }

    /// Hands in a batch that has to be accepted, and gives the answer.
    pub(crate) async fn book(&self, batch: &UsageBatch) -> Value {
        let response = self.post(batch.encode()).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    /// The status of an answer; none if there is no answer.
    pub(crate) async fn try_get(&self, path: &str) -> Option<u16> {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// The value of one metric, named with its labels as `/metrics` writes it.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// Sends a signal, such as TERM.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(format!("SIG{signal}").parse().unwrap()).unwrap();
    }

    /// The exit code, once the process has ended.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        self.process.wait_end().await.unwrap().code()
    }
}

pub(crate) fn token() -> String {
    Pepper::new(PEPPER.as_bytes()).unwrap().ingest_token().expose().to_owned()
}

pub(crate) fn instant(text: &str) -> Micros {
    text.parse().unwrap()
}

pub(crate) async fn customer(store: &Store, root: TenantId, name: &str, zone: &str, plan: &str) -> Tenant {
    let new = NewTenant {
        parent: Some(root),
        kind: TenantKind::Customer,
        name: name.into(),
        zone: zone.parse().unwrap(),
        plan: Some(plan.parse().unwrap()),
    };
    store.create_tenant(&new, instant("2026-02-01T00:00:00Z")).await.unwrap()
}

/// A billable request under a live key.
pub(crate) fn request(tenant: TenantId, at: &str, units: u64) -> UsageRecord {
    UsageRecord {
        at: instant(at),
        tenant,
        key: KeyId::from_u128(7),
        route: "search".into(),
        meter: REQUESTS_METER.into(),
        units,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

pub(crate) fn batch(first_seq: u64, entries: impl IntoIterator<Item = UsageEntry>) -> UsageBatch {
    batch_of_lane(0, first_seq, entries)
}

pub(crate) fn batch_of_lane(lane: u16, first_seq: u64, entries: impl IntoIterator<Item = UsageEntry>) -> UsageBatch {
    UsageBatch { stream: StreamId::new("edge-1", 1, lane).unwrap(), first_seq, entries: entries.into_iter().collect() }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
