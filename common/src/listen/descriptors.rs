//! File descriptors: as many as the system lets a process have, and a share kept back for its own
//! files.
//!
//! Clients are given what is left, so that a process that is full of connections can still open its
//! files, reach its store and answer its operators.

use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Directory in which Linux lists the open descriptors of a process.
const OPEN: &str = "/proc/self/fd";

/// Open descriptors that are assumed where the system does not list them.
const OPEN_ASSUMED: usize = 64;

/// Descriptors kept back beyond those that are open at the start: files that rotate, connections to
/// the store, to brokers and to operators. Fewer where the system allows few.
const HEADROOM: usize = 128;

/// Limit on the open descriptors of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// Now.
    pub now: usize,
    /// At the start of the process.
    pub before: usize,
}

/// Number of connections that the descriptors suffice for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of clients, and to the servers behind.
    pub connections: usize,
    /// Of operators, out of what is kept back.
    pub operators: usize,
}

/// Raises the limit to the most that the system allows without a privilege.
pub fn raise_limit() -> io::Result<DescriptorLimit> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = bounded(current);
    if bounded(maximum) > before {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(DescriptorLimit { now: bounded(getrlimit(Resource::Nofile).current), before })
}

/// Returns the descriptors left for connections after those that are open and those kept back.
/// `soon` is the number of descriptors that the process is about to open for itself.
pub fn room(soon: usize) -> Room {
    let limit = bounded(getrlimit(Resource::Nofile).current);
    let open = fs::read_dir(OPEN).map_or(OPEN_ASSUMED, Iterator::count);
    let headroom = HEADROOM.min(limit / 8).max(8);
    Room { connections: limit.saturating_sub(open + soon + headroom), operators: headroom / 4 }
}

fn bounded(limit: Option<u64>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_limit_is_raised_to_hard_limit() {
        let raised = raise_limit().unwrap();
        assert_eq!(raised.now, bounded(getrlimit(Resource::Nofile).maximum));
        assert!(raised.before <= raised.now);
        let room = room(10);
        assert!(room.operators > 0 && room.connections + room.operators < raised.now);
    }
}
