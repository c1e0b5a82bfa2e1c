//! The one supervisor of child processes: servers, and the programs of this repository.
//!
//! Invariant: a process never outlives its handle. It is killed with all its children when the
//! handle is dropped, and its log is shown if a test panics meanwhile.

use std::{
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Instant,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    error::ServerError,
    family::{family, freeze, has_ended, signal_all},
    log::Log,
    wait::{DEADLINE, POLL_INTERVAL, block_until, within},
};

/// A child process in a process group of its own: Ctrl-C reaches the program that started it, which
/// stops it in order.
#[derive(Debug)]
pub struct Process {
    name: String,
    command: Command,
    stdout: Log,
    stderr: Log,
    state: State,
    /// Holds the logs, unless they are in a directory of the caller.
    _directory: Option<TempDir>,
}

#[derive(Debug)]
enum State {
    Idle,
    Running(Child),
    Ended(ExitStatus),
}

impl Process {
    /// A process that is yet to be started, with its output in the file `log`. Errors call it
    /// `name`.
    pub fn new(name: impl Into<String>, command: Command, log: impl Into<PathBuf>) -> Self {
        let log = Log::at(log);
        let name = name.into();
        Self { name, command, stdout: log.clone(), stderr: log, state: State::Idle, _directory: None }
    }

    /// A process that is yet to be started, with each output stream in a temporary file of its own.
    pub fn captured(name: impl Into<String>, command: Command) -> Result<Self, ServerError> {
        let directory = tempfile::tempdir().map_err(ServerError::io("make a directory for logs"))?;
        let log = |stream: &str| Log::at(directory.path().join(stream));
        Ok(Self {
            name: name.into(),
            command,
            stdout: log("stdout"),
            stderr: log("stderr"),
            state: State::Idle,
            _directory: Some(directory),
        })
    }

    /// Starts the process, or starts it again after it has ended.
    pub fn start(&mut self) -> Result<(), ServerError> {
        let open = |log: &Log| log.open().map_err(ServerError::io(format!("open {}", log.path().display())));
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(open(&self.stdout)?)
            .stderr(open(&self.stderr)?)
            .process_group(0)
            .spawn()
            .map_err(ServerError::io(format!("start {}", self.name)))?;
        self.state = State::Running(child);
        Ok(())
    }

    /// The name that errors call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Result<u32, ServerError> {
        match &self.state {
            State::Running(child) => Ok(child.id()),
            State::Idle | State::Ended(_) => Err(self.not_running()),
        }
    }

    /// Standard error, and standard output too unless it is captured on its own.
    pub const fn log(&self) -> &Log {
        &self.stderr
    }

    /// Standard output.
    pub const fn stdout(&self) -> &Log {
        &self.stdout
    }

    /// Returns the exit status, if the process has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ServerError> {
        let child = match &mut self.state {
            State::Running(child) => child,
            State::Ended(status) => return Ok(Some(*status)),
            State::Idle => return Err(self.not_running()),
        };
        let status = child.try_wait().map_err(ServerError::io(format!("look after {}", self.name)))?;
        if let Some(status) = status {
            self.state = State::Ended(status);
        }
        Ok(status)
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) -> Result<(), ServerError> {
        signal_all(&[self.pid()?], signal)
    }

    /// Halts the process and its children: their connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), ServerError> {
        freeze(self.pid()?).map(drop)
    }

    /// Lets the process and its children go on after [`Process::pause`].
    pub fn resume(&self) -> Result<(), ServerError> {
        signal_all(&family(self.pid()?)?, Signal::SIGCONT)
    }

    /// Kills the process and its children at once, as a crash would.
    pub fn kill(&mut self) -> Result<ExitStatus, ServerError> {
        let pid = self.pid()?;
        // Children are found one after the other: none may start another meanwhile.
        let has_children = family(pid).is_ok_and(|members| members.len() > 1);
        let pids = if has_children { freeze(pid)? } else { vec![pid] };
        signal_all(&pids, Signal::SIGKILL)?;
        let status = self.wait_end_blocking()?;
        // Memory and ports that they share are free only once all of them have ended.
        block_until(&self.name, || pids.iter().all(|pid| has_ended(*pid)))?;
        Ok(status)
    }

    /// Tells the process to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> Result<ExitStatus, ServerError> {
        self.ask_to_end(Signal::SIGTERM)?;
        self.wait_end().await
    }

    /// Waits until the process has ended by itself or by a signal.
    pub async fn wait_end(&mut self) -> Result<ExitStatus, ServerError> {
        let ended = within(DEADLINE, POLL_INTERVAL, async || self.ended()).await;
        ended.unwrap_or_else(|| Err(self.still_running()))
    }

    /// Waits until `probe` finds the process ready; its error is the answer so far. Fails early if
    /// the process ends.
    pub async fn wait_ready(&mut self, mut probe: impl AsyncFnMut() -> Result<(), String>) -> Result<(), ServerError> {
        let mut answer = String::new();
        let ready = within(DEADLINE, POLL_INTERVAL, async || {
            match probe().await {
                Ok(()) => return Ok(true),
                Err(refusal) => answer = refusal,
            }
            self.ensure_running().map(|()| false)
        })
        .await;
        ready.unwrap_or_else(|| Err(self.not_ready(&answer)))
    }

    /// As [`Process::stop`], by `signal`, on the caller's thread. A process that does not run stays
    /// as it is.
    pub(crate) fn stop_blocking(&mut self, signal: Signal) -> Result<(), ServerError> {
        if self.pid().is_err() {
            return Ok(());
        }
        self.ask_to_end(signal)?;
        self.wait_end_blocking().map(drop)
    }

    /// As [`Process::wait_ready`], on the caller's thread.
    pub(crate) fn wait_ready_blocking(&mut self, is_ready: impl Fn() -> bool) -> Result<(), ServerError> {
        let deadline = Instant::now() + DEADLINE;
        while !is_ready() {
            self.ensure_running()?;
            if Instant::now() > deadline {
                return Err(self.not_ready("no answer"));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn wait_end_blocking(&mut self) -> Result<ExitStatus, ServerError> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(self.still_running());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn ask_to_end(&self, signal: Signal) -> Result<(), ServerError> {
        self.signal(signal)?;
        // A paused process does not see the signal.
        self.resume()
    }

    fn ensure_running(&mut self) -> Result<(), ServerError> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(ServerError::Ended { what: self.name.clone(), status, log: self.log().tail() }),
        }
    }

    fn not_running(&self) -> ServerError {
        ServerError::NotRunning(self.name.clone())
    }

    fn not_ready(&self, answer: &str) -> ServerError {
        let output = format!("{answer}; the end of its log:\n{}", self.log().tail());
        ServerError::NotReady { what: self.name.clone(), waited: DEADLINE, output }
    }

    fn still_running(&self) -> ServerError {
        ServerError::StillRunning { what: self.name.clone(), waited: DEADLINE, log: self.log().tail() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, self.log().tail());
        }
        // A process that has ended needs nothing; one that cannot be killed is the system's.
        let _ = self.kill();
    }
}
