//! The gateway as a process.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
    sync::{Mutex, MutexGuard},
};

use common::key::Secret;
use serde_json::Value;
use servers::{Log, Process, eventually};

use super::PEPPER;

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// Addresses of its other listeners.
    pub(crate) further: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    process: Mutex<Process>,
}

/// The command with the environment of tests.
pub(crate) fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command
        .arg("--config")
        .arg(config)
        .env("TOLLGATE_PEPPER", PEPPER)
        .env_remove("TOLLGATE_STORE")
        .env_remove("TOLLGATE_KAFKA")
        .env_remove("TOLLGATE_REDIS")
        .env_remove("RUST_LOG");
    command
}

/// A command that `words`, a program and its arguments, start in their surroundings.
pub(crate) fn wrapped(words: &[&str], inner: &Command) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

impl Gateway {
    /// Starts a gateway and waits until its addresses are known.
    pub(crate) async fn start(config: &Path) -> Self {
        Self::spawn(command(config)).await
    }

    /// Starts a gateway that takes over from the running one, and waits until it has its addresses.
    pub(crate) async fn upgrade(config: &Path) -> Self {
        let mut command = command(config);
        command.arg("--upgrade");
        Self::spawn(command).await
    }

    /// Starts a gateway by this command and waits until its addresses are known.
    pub(crate) async fn spawn(command: Command) -> Self {
        let mut process = Process::captured("gateway", command).unwrap();
        process.start().unwrap();
        let is_listening = |line: &Value| line["event"] == "listening";
        let listening = eventually("addresses of the gateway", async || {
            assert_eq!(process.ended().unwrap(), None, "the gateway ended");
            parse(process.log()).into_iter().find(is_listening)
        })
        .await;
        let address = |field: &str| listening[field].as_str().unwrap().parse().unwrap();
        let further = listening["further"].as_str().map_or_else(Vec::new, |further| further.split(", ").collect());
        let further = further.iter().map(|address| address.parse().unwrap()).collect();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let process = Mutex::new(process);
        Self { address: address("listen"), further, admin: address("admin"), client, process }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A GET with a key.
    pub(crate) async fn get(&self, path: &str, secret: &Secret) -> reqwest::Response {
        self.client.get(self.url(path)).bearer_auth(secret.expose()).send().await.unwrap()
    }

    /// The status of a GET with a key.
    pub(crate) async fn status(&self, path: &str, secret: &Secret) -> u16 {
        self.get(path, secret).await.status().as_u16()
    }

    /// Status and body of an answer of the admin address.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("http://{}{path}", self.admin)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a metric, by its name with labels as `/metrics` shows it.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.admin("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a metric has this value.
    pub(crate) async fn shows(&self, series: &str, value: f64) {
        eventually(series, || async { (self.metric(series).await == Some(value)).then_some(()) }).await;
    }

    /// Waits until no request is in progress.
    pub(crate) async fn idle(&self) {
        self.shows("tollgate_http_requests_in_flight", 0.0).await;
    }

    /// Waits until so many requests go on whose clients have left.
    pub(crate) async fn alone(&self, count: f64) {
        self.shows("tollgate_http_requests_without_client", count).await;
    }

    pub(crate) async fn wait_until_ready(&self) {
        eventually("gateway ready", || async { (self.admin("/health/ready").await.0 == 200).then_some(()) }).await;
    }

    /// Operational log lines so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        parse(self.process().log())
    }

    /// The first operational log line like this, which may still be on its way.
    pub(crate) async fn logged(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.log().into_iter().find(|line| is_it(line))).await
    }

    /// Access lines so far.
    pub(crate) fn access_log(&self) -> Vec<Value> {
        parse(self.process().stdout())
    }

    /// Everything that was written so far.
    pub(crate) fn output(&self) -> String {
        let process = self.process();
        process.stdout().text() + &process.log().text()
    }

    /// Returns true if it still runs.
    pub(crate) fn runs(&self) -> bool {
        self.process().ended().unwrap().is_none()
    }

    /// The names of its threads, and how much each of them gives way to others.
    pub(crate) fn threads(&self) -> Vec<(String, i32)> {
        let process = self.process().pid().unwrap();
        let thread = |entry: std::fs::DirEntry| {
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let id = rustix::process::Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
            Some((name.trim().to_owned(), rustix::process::getpriority_process(id).ok()?))
        };
        std::fs::read_dir(format!("/proc/{process}/task")).unwrap().filter_map(|entry| thread(entry.unwrap())).collect()
    }

    /// Memory of the process that is resident, in bytes. Asks the system, so that the gateway stays
    /// idle.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let process = self.process().pid().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        resident.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        self.process().signal(format!("SIG{name}").parse().unwrap()).unwrap();
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&self) -> ExitStatus {
        eventually("end of the gateway", async || self.process().ended().unwrap()).await
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap()
    }
}

fn parse(log: &Log) -> Vec<Value> {
    log.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
