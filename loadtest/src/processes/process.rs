//! A server as a child process: started, signalled, watched, never left behind.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout_at},
};

use super::{ProcessError, probe};

/// How long a process may take to become ready, or to end when told to: generous, as machines may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How much of a log's end goes into an error.
const LOG_TAIL_BYTES: u64 = 4_096;

/// Variables that would override what the fleet writes into configuration files.
const OVERRIDES: [&str; 5] =
    ["TOLLGATE_STORE", "TOLLGATE_REDIS", "TOLLGATE_KAFKA", "TOLLGATE_PEPPER", "TOLLGATE_BOOTSTRAP_TOKEN"];

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What errors call it; its log is `<name>.log`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where its log goes.
    pub directory: PathBuf,
    /// The cores it is held to, in the notation of `taskset`; all if none.
    pub cores: Option<String>,
    /// Whether it gives way to everything else that runs there.
    pub yields: bool,
}

/// A process. It is killed when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    launch: Launch,
    child: Option<Child>,
}

impl ServerProcess {
    /// Starts the process, in a process group of its own: Ctrl-C reaches whoever started it, who stops it in order.
    pub fn start(launch: Launch) -> Result<Self, ProcessError> {
        let mut process = Self { launch, child: None };
        process.start_again()?;
        Ok(process)
    }

    /// Starts it once more, after it has ended; the log goes on in the same file.
    pub fn start_again(&mut self) -> Result<(), ProcessError> {
        let launch = &self.launch;
        let log = self.open_log().map_err(|source| ProcessError::File { file: self.log_name(), source })?;
        let failed = |source| ProcessError::Start { name: launch.name.clone(), source };
        // taskset and nice become the program, so the process id is that of the program.
        let cores = launch.cores.iter().flat_map(|cores| ["taskset", "-c", cores]);
        let priority = if launch.yields { &["nice", "-n", "19"][..] } else { &[] };
        let mut words = cores.chain(priority.iter().copied()).map(OsStr::new).chain([launch.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&launch.arguments).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        for variable in OVERRIDES {
            command.env_remove(variable);
        }
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Its log: standard output and standard error.
    pub fn log_file(&self) -> PathBuf {
        self.launch.directory.join(format!("{}.log", self.launch.name))
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        let name = self.launch.name.clone();
        let Some(child) = self.child.as_mut() else { return Err(ProcessError::NotRunning { name }) };
        child.try_wait().map_err(|source| ProcessError::Control { name, source })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let name = || self.launch.name.clone();
        let number = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let pid = number.ok_or_else(|| ProcessError::NotRunning { name: name() })?;
        signal::kill(Pid::from_raw(pid), signal)
            .map_err(|error| ProcessError::Control { name: name(), source: error.into() })
    }

    /// Holds it still (SIGSTOP): its connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) -> Result<(), ProcessError> {
        self.signal(Signal::SIGCONT)
    }

    /// Ends it at once, as a crash does (SIGKILL).
    pub async fn kill(&mut self) -> Result<ExitStatus, ProcessError> {
        self.signal(Signal::SIGKILL)?;
        self.wait_end().await
    }

    /// Tells it to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> Result<ExitStatus, ProcessError> {
        self.signal(Signal::SIGTERM)?;
        // A paused process would not hear it.
        self.resume()?;
        self.wait_end().await
    }

    /// Waits until it has ended by itself or by a signal.
    pub async fn wait_end(&mut self) -> Result<ExitStatus, ProcessError> {
        let name = self.launch.name.clone();
        let Some(child) = self.child.as_mut() else { return Err(ProcessError::NotRunning { name }) };
        match timeout_at(Instant::now() + PATIENCE, child.wait()).await {
            Ok(ended) => {
                let status = ended.map_err(|source| ProcessError::Control { name, source })?;
                self.child = None;
                Ok(status)
            }
            Err(_) => Err(ProcessError::StillRunning { name, seconds: PATIENCE.as_secs(), log: self.log_tail() }),
        }
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        read_tail(&self.log_file()).unwrap_or_else(|error| format!("({}: {error})", self.log_name()))
    }

    fn log_name(&self) -> String {
        self.log_file().display().to_string()
    }

    fn open_log(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.launch.directory)?;
        OpenOptions::new().create(true).append(true).open(self.log_file())
    }
}

/// Waits until `process` answers `path` at `address` with 200; tells early if it ends instead.
pub async fn wait_ready(process: &mut ServerProcess, address: SocketAddr, path: &str) -> Result<(), ProcessError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = match probe::get(address, path).await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("{} {}", answer.status, answer.body.trim()),
            Err(error) => error.to_string(),
        };
        let name = process.name().to_owned();
        if let Some(status) = process.ended()? {
            return Err(ProcessError::Ended { name, status, log: process.log_tail() });
        }
        if Instant::now() >= deadline {
            let (seconds, url) = (PATIENCE.as_secs(), format!("http://{address}{path}"));
            return Err(ProcessError::NotReady { name, seconds, url, answer, log: process.log_tail() });
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn read_tail(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(directory: &Path, script: &str) -> ServerProcess {
        ServerProcess::start(Launch {
            name: "script".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            directory: directory.to_owned(),
            cores: None,
            yields: false,
        })
        .unwrap()
    }

    async fn logged(process: &ServerProcess, text: &str) {
        while !process.log_tail().contains(text) {
            sleep(LOOK_INTERVAL).await;
        }
    }

    #[tokio::test]
    async fn a_process_that_ends_instead_of_serving_is_told_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell(directory.path(), "echo no such table >&2; exit 3");
        let address = crate::processes::free_address().unwrap();
        let error = wait_ready(&mut process, address, "/health").await.unwrap_err().to_string();
        assert!(error.contains("script ended by itself") && error.contains("no such table"), "{error}");
    }

    #[tokio::test]
    async fn stopping_reaches_a_paused_process_and_lets_it_finish() {
        let directory = tempfile::tempdir().unwrap();
        let script = "trap 'echo finished; exit 0' TERM; echo started; while :; do sleep 0.01; done";
        let mut process = shell(directory.path(), script);
        logged(&process, "started").await;
        process.pause().unwrap();
        assert!(process.stop().await.unwrap().success());
        assert!(process.log_tail().contains("finished"));
        assert!(matches!(process.signal(Signal::SIGTERM), Err(ProcessError::NotRunning { .. })));

        process.start_again().unwrap();
        while process.log_tail().matches("started").count() < 2 {
            sleep(LOOK_INTERVAL).await;
        }
        assert!(!process.kill().await.unwrap().success());
    }

    #[tokio::test]
    async fn dropping_a_process_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell(directory.path(), "echo started; exec sleep 600");
        logged(&process, "started").await;
        let pid = process.pid().unwrap();
        drop(process);
        let running =
            || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("sleep"));
        while running() {
            sleep(LOOK_INTERVAL).await;
        }
    }
}
