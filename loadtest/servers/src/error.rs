//! Errors of servers and processes, with the end of the log: that is where the reason stands.

use std::{io, process::ExitStatus, time::Duration};

/// A server or a process is not in the state that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server's programs are not on this machine.
    #[error("{program} is not installed: run `apt-get install {package}`")]
    NotInstalled {
        /// The program that is missing.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// The action that failed.
        what: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{what} failed ({status}): {output}")]
    Failed {
        /// The program or the server.
        what: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A process ended although it should run.
    #[error("{what} ended by itself ({status}); the end of its log:\n{log}")]
    Ended {
        /// The process.
        what: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A process does not end when told to.
    #[error("{what} still runs {} s after it was told to stop; the end of its log:\n{log}", .waited.as_secs())]
    StillRunning {
        /// The process.
        what: String,
        /// The time it was given.
        waited: Duration,
        /// The end of its log.
        log: String,
    },
    /// A server or a process does not answer in time.
    #[error("{what} did not answer within {} s: {output}", .waited.as_secs())]
    NotReady {
        /// The server or the process.
        what: String,
        /// The time it was given.
        waited: Duration,
        /// Its last answer and the end of its log.
        output: String,
    },
    /// The process was never started, or has ended.
    #[error("{0} is not running")]
    NotRunning(String),
}

impl ServerError {
    /// For `map_err`: the operating system refused to do `what`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
