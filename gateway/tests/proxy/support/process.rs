//! The gateway as a process.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::key::Secret;
use serde_json::Value;

use super::{PATIENCE, PEPPER, eventually};

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    child: Mutex<Child>,
    access: Lines,
    operational: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

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

impl Gateway {
    /// Starts a gateway and waits until its addresses are known.
    pub(crate) fn start(config: &Path) -> Self {
        Self::spawn(&mut command(config))
    }

    /// Starts a gateway that takes over from the running one, and waits until it has its addresses.
    pub(crate) fn upgrade(config: &Path) -> Self {
        Self::spawn(command(config).arg("--upgrade"))
    }

    /// Starts a gateway by this command and waits until its addresses are known.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let access = Lines::collect(child.stdout.take().unwrap());
        let operational = Lines::collect(child.stderr.take().unwrap());
        let listening = operational.wait_for(|line| line["message"] == "listening");
        let address = |field: &str| listening[field].as_str().unwrap().parse().unwrap();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self {
            address: address("listen"),
            admin: address("admin"),
            client,
            child: Mutex::new(child),
            access,
            operational,
        }
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

    /// What the admin address answers: status and body.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("http://{}{path}", self.admin)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a metric, by its name with labels as `/metrics` shows it.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.admin("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub(crate) async fn wait_until_ready(&self) {
        eventually("gateway ready", || async { (self.admin("/health/ready").await.0 == 200).then_some(()) }).await;
    }

    /// Operational log lines so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.operational.parsed()
    }

    /// The first operational log line like this, which may still be on its way.
    pub(crate) async fn logged(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async { self.log().into_iter().find(|line| is_it(line)) }).await
    }

    /// Access lines so far.
    pub(crate) fn access_log(&self) -> Vec<Value> {
        self.access.parsed()
    }

    /// Everything that was written so far.
    pub(crate) fn output(&self) -> String {
        let lines = |lines: &Lines| lines.0.lock().unwrap().join("\n");
        lines(&self.access) + &lines(&self.operational)
    }

    /// Returns true if it still runs.
    pub(crate) fn runs(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_none()
    }

    /// The names of its threads, and how much each of them gives way to others.
    pub(crate) fn threads(&self) -> Vec<(String, i32)> {
        let process = self.child.lock().unwrap().id();
        let thread = |entry: std::fs::DirEntry| {
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let id = rustix::process::Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
            Some((name.trim().to_owned(), rustix::process::getpriority_process(id).ok()?))
        };
        std::fs::read_dir(format!("/proc/{process}/task")).unwrap().filter_map(|entry| thread(entry.unwrap())).collect()
    }

    /// Memory of the process that is resident, in bytes. Asks the system, so that the gateway stays idle.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let process = self.child.lock().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        resident.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal by the name that `kill` knows.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&self) -> ExitStatus {
        eventually("end of the gateway", || async { self.child.lock().unwrap().try_wait().unwrap() }).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("--- gateway ---\n{}", self.operational.0.lock().unwrap().join("\n"));
        }
    }
}

// === impl Lines ===

impl Lines {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                sink.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn parsed(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn wait_for(&self, matches: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.parsed().into_iter().find(|line| matches(line)) {
                return line;
            }
            let so_far = self.0.lock().unwrap().join("\n");
            assert!(std::time::Instant::now() < deadline, "the gateway did not say what was expected:\n{so_far}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
