//! Which core the contestants run on and which the rest.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::CompareError;

/// This thread, to the calls below.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// The cores of the comparison.
#[derive(Debug)]
pub(super) struct Cores {
    contestant: usize,
    others: Vec<usize>,
}

impl Cores {
    /// The first core that this process may use for the contestants, all others for the rest.
    pub(super) fn available() -> Result<Self, CompareError> {
        let allowed = sched_getaffinity(THIS_THREAD).map_err(system)?;
        let cores: Vec<_> = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect();
        match cores.split_first() {
            Some((contestant, others)) if !others.is_empty() => {
                Ok(Self { contestant: *contestant, others: others.to_owned() })
            }
            _ => Err(CompareError::Cores(cores.len())),
        }
    }

    /// The contestants' core, in the notation of `taskset`.
    pub(super) fn contestant(&self) -> String {
        self.contestant.to_string()
    }

    /// Keeps this thread, and the threads and processes it starts from now on, off the contestants'
    /// core.
    pub(super) fn leave_contestants_core(&self) -> Result<(), CompareError> {
        let mut set = CpuSet::new();
        for core in &self.others {
            set.set(*core).map_err(system)?;
        }
        sched_setaffinity(THIS_THREAD, &set).map_err(system)
    }
}

fn system(error: nix::errno::Errno) -> CompareError {
    CompareError::System { what: "cannot choose cores".into(), source: error.into() }
}
