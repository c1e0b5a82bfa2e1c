//! A server's process and its children: started, killed, paused, resumed and stopped as one. In a directory of its own.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{ServerError, directory::Directory};

/// How long a server may take to start or to stop.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of a server's log an error shows, in bytes.
const LOG_TAIL_BYTES: usize = 2_000;

/// A server's directory and, unless it was killed or stopped, its process.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Option<Child>,
    // Last, so that the guard finds the process to kill.
    directory: Directory,
}

impl Process {
    /// One that is yet to be started.
    pub(crate) const fn new(name: &'static str, directory: Directory) -> Self {
        Self { name, child: None, directory }
    }

    pub(crate) const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Starts `command` as the server and waits until `is_ready`.
    pub(crate) fn start(&mut self, mut command: Command, is_ready: impl Fn() -> bool) -> Result<(), ServerError> {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.map_err(ServerError::io(format!("open the log of {}", self.name)))?;
        let log_too = log.try_clone().map_err(ServerError::io("share a log"))?;
        let child = command
            .stdout(log)
            .stderr(log_too)
            .process_group(0)
            .spawn()
            .map_err(ServerError::io(format!("start {}", self.name)))?;
        self.directory.note_process(child.id())?;
        self.child = Some(child);
        self.wait_until_ready(is_ready)
    }

    fn wait_until_ready(&mut self, is_ready: impl Fn() -> bool) -> Result<(), ServerError> {
        let deadline = Instant::now() + DEADLINE;
        while !is_ready() {
            if let Some(status) = self.exit_status()? {
                self.child = None;
                self.directory.forget_process();
                let output = tail(&self.log_path());
                return Err(ServerError::Failed { what: self.name.into(), status, output });
            }
            if Instant::now() > deadline {
                let output = tail(&self.log_path());
                return Err(ServerError::NotReady { what: self.name.into(), waited: DEADLINE, output });
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Kills it and its children at once.
    pub(crate) fn kill(&mut self) -> Result<(), ServerError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let pids = freeze(child.id())?;
        signal_all(&pids, Signal::SIGKILL)?;
        child.wait().map_err(ServerError::io(format!("wait for {}", self.name)))?;
        self.directory.forget_process();
        // Memory and ports that they share are free only once all of them have ended.
        wait_until(|| pids.iter().all(|pid| has_ended(*pid)), self.name)
    }

    /// Halts it and its children.
    pub(crate) fn pause(&self) -> Result<(), ServerError> {
        freeze(self.pid()?).map(drop)
    }

    /// Lets it go on after [`Process::pause`].
    pub(crate) fn resume(&self) -> Result<(), ServerError> {
        signal_all(&family(self.pid()?)?, Signal::SIGCONT)
    }

    /// Asks it to end by `signal` and waits until it has.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<(), ServerError> {
        let Ok(pid) = self.pid() else {
            return Ok(());
        };
        self.resume()?;
        signal_all(&[pid], signal)?;
        let deadline = Instant::now() + DEADLINE;
        while self.exit_status()?.is_none() {
            if Instant::now() > deadline {
                let output = tail(&self.log_path());
                return Err(ServerError::NotReady {
                    what: format!("stopping {}", self.name),
                    waited: DEADLINE,
                    output,
                });
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.child = None;
        self.directory.forget_process();
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// Its id, while it runs.
    pub(crate) fn pid(&self) -> Result<u32, ServerError> {
        self.child.as_ref().map(Child::id).ok_or_else(|| ServerError::NotRunning(self.name.into()))
    }

    fn exit_status(&mut self) -> Result<Option<String>, ServerError> {
        let child = self.child.as_mut().ok_or_else(|| ServerError::NotRunning(self.name.into()))?;
        let status = child.try_wait().map_err(ServerError::io(format!("look after {}", self.name)))?;
        Ok(status.map(|status| status.to_string()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What is left over is the guard's.
        let _ = self.kill();
    }
}

/// Halts a process and its children, so that none can start another meanwhile, and names them.
fn freeze(pid: u32) -> Result<Vec<u32>, ServerError> {
    let mut halted = Vec::new();
    loop {
        let members = family(pid)?;
        if members.len() == halted.len() {
            // A thread that runs on another processor may still answer after the signal was sent.
            wait_until(|| members.iter().all(|pid| has_halted(*pid)), "a process that was told to halt")?;
            return Ok(members);
        }
        signal_all(&members, Signal::SIGSTOP)?;
        halted = members;
    }
}

/// A process and all that descend from it, the process first.
fn family(pid: u32) -> Result<Vec<u32>, ServerError> {
    let mut members = vec![pid];
    let mut next = 0;
    while let Some(member) = members.get(next) {
        let children = fs::read_to_string(format!("/proc/{member}/task/{member}/children"));
        match children {
            Ok(children) => members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok())),
            Err(error) if next == 0 => return Err(ServerError::io(format!("list the children of {pid}"))(error)),
            // A child that has just ended.
            Err(_) => {}
        }
        next += 1;
    }
    Ok(members)
}

fn signal_all(pids: &[u32], signal: Signal) -> Result<(), ServerError> {
    for pid in pids {
        match kill(Pid::from_raw(pid.cast_signed()), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(ServerError::io(format!("send {signal} to {pid}"))(error.into())),
        }
    }
    Ok(())
}

/// Returns true if every thread of the process is stopped or has ended.
fn has_halted(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat"));
        stat.map_or(true, |stat| state(&stat).is_some_and(|state| matches!(state, 'T' | 't' | 'Z' | 'X')))
    })
}

/// Returns true if nothing of a process is left but the entry that its parent has yet to read.
fn has_ended(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    state(&stat).is_some_and(|state| matches!(state, 'Z' | 'X'))
}

/// The state letter of a line of `/proc/*/stat`. The name before it may hold blanks and parentheses.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next())
}

/// Waits until `condition` holds; `what` is what does not answer if it never does.
pub(crate) fn wait_until(condition: impl Fn() -> bool, what: &str) -> Result<(), ServerError> {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        if Instant::now() > deadline {
            return Err(ServerError::NotReady { what: what.into(), waited: DEADLINE, output: String::new() });
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn tail(log: &Path) -> String {
    fs::read(log).map_or_else(|error| format!("(no log: {error})"), |bytes| end_of(&bytes))
}

/// The part of an output that an error shows.
pub(crate) fn end_of(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}
