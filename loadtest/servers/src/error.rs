//! Why a server is not there.

use std::{io, time::Duration};

/// Why a server is not there.
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
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{what} failed ({status}): {output}")]
    Failed {
        /// The program or the server.
        what: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A server does not answer in time.
    #[error("{what} did not answer within {} s: {output}", .waited.as_secs())]
    NotReady {
        /// The server.
        what: String,
        /// How long it was given.
        waited: Duration,
        /// The end of what it said.
        output: String,
    },
    /// The server was killed or stopped and not restarted.
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
