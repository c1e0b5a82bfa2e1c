//! What can go wrong with a process, told with the end of its log: that is where the reason stands.

use std::process::ExitStatus;

/// Why a process is not in the state that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The binary was not built, or stands elsewhere.
    #[error("no binary `{name}` in {looked_in}: build it first, with the profile of the program that needs it")]
    BinaryMissing {
        /// Its name.
        name: String,
        /// Where it was expected.
        looked_in: String,
    },
    /// A file could not be written or read.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Somebody else listens there.
    #[error("port {port} is taken by another program: stop that one, or choose another port with {setting}")]
    PortTaken {
        /// The port.
        port: u16,
        /// The setting that chooses another.
        setting: String,
    },
    /// No port is left to listen on.
    #[error("no free port found on the loopback interface: {0}")]
    NoPort(std::io::Error),
    /// The operating system would not start it.
    #[error("cannot start {name}: {source}")]
    Start {
        /// The process.
        name: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It ended although it should run.
    #[error("{name} ended by itself ({status}); the end of its log says:\n{log}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// It runs and does not become ready.
    #[error("{name} is not ready after {seconds} s: {url} says {answer}; the end of its log says:\n{log}")]
    NotReady {
        /// The process.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Where it should say so.
        url: String,
        /// What it said at last.
        answer: String,
        /// Its last lines.
        log: String,
    },
    /// It does not end when told to.
    #[error("{name} still runs {seconds} s after it was told to stop; the end of its log says:\n{log}")]
    StillRunning {
        /// The process.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its last lines.
        log: String,
    },
    /// It does not run, so nothing can be done to it.
    #[error("{name} does not run")]
    NotRunning {
        /// The process.
        name: String,
    },
    /// The operating system refused to signal it or to wait for it.
    #[error("cannot control {name}: {source}")]
    Control {
        /// The process.
        name: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}
