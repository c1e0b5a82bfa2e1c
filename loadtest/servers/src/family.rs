//! Signals for a process and everything that it started.

use std::fs;

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{error::ServerError, wait::block_until};

/// Halts a process and its children, so that none can start another meanwhile, and names them.
pub(crate) fn freeze(pid: u32) -> Result<Vec<u32>, ServerError> {
    let mut halted = Vec::new();
    loop {
        let members = family(pid)?;
        if members.len() == halted.len() {
            // A thread that runs on another processor may still answer after the signal was sent.
            block_until("a process that was told to halt", || members.iter().all(|pid| has_halted(*pid)))?;
            return Ok(members);
        }
        signal_all(&members, Signal::SIGSTOP)?;
        halted = members;
    }
}

/// A process and all that descend from it, the process first.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>, ServerError> {
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

pub(crate) fn signal_all(pids: &[u32], signal: Signal) -> Result<(), ServerError> {
    for pid in pids {
        match kill(Pid::from_raw(pid.cast_signed()), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(ServerError::io(format!("send {signal} to {pid}"))(error.into())),
        }
    }
    Ok(())
}

/// Returns true if every thread of the process is stopped or has ended, or runs nothing of its own
/// any more: a shell whose child was halted between `vfork` and `exec` waits for that child in state
/// D, and is stopped once the child goes on.
fn has_halted(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat"));
        stat.map_or(true, |stat| state(&stat).is_some_and(|state| matches!(state, 'T' | 't' | 'Z' | 'X' | 'D')))
    })
}

/// Returns true if the process is gone, or only waits for its parent to read its status.
pub(crate) fn has_ended(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    state(&stat).is_some_and(|state| matches!(state, 'Z' | 'X'))
}

/// The state letter of a line of `/proc/*/stat`. The name before it may hold blanks and
/// parentheses.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next())
}
