//! Errors of the programs of this repository as processes.

use servers::ServerError;

/// A process cannot be started, or is not in the state that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The binary was not built, or stands elsewhere.
    #[error("no binary `{name}` in {looked_in}: build it first, with the profile of the program that needs it")]
    BinaryMissing {
        /// Its name.
        name: String,
        /// The directory that was searched.
        looked_in: String,
    },
    /// A file could not be written or read.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Another program listens on the port.
    #[error("port {port} is taken by another program: stop that one, or choose another port with {setting}")]
    PortTaken {
        /// The port.
        port: u16,
        /// The setting that chooses another.
        setting: String,
    },
    /// A process does not answer a request for its counters.
    #[error("{name} does not answer: {source}")]
    NoAnswer {
        /// The process.
        name: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The supervisor could not start, signal or end the process.
    #[error(transparent)]
    Control(#[from] ServerError),
}
