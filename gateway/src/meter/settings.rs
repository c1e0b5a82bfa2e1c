//! What operators set, and why a gateway refuses to start with it.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

/// What operators set. [`MeterSettings::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct MeterSettings {
    /// Where the journal lives; it must survive restarts, and gateways on one host may share it.
    pub directory: PathBuf,
    /// This gateway's name, in every stream: letters, digits, `-`, `_` and `.`.
    pub gateway: String,
    /// Independent lanes, at best one per worker thread.
    pub lanes: u16,
    /// Disk that the journal may fill, rings and spool together. Each record takes 128 bytes.
    pub budget_bytes: u64,
    /// What becomes of requests once it is filled.
    pub when_full: WhenFull,
    /// How often appended records are forced to disk: what a power cut (not a crash) may lose.
    pub fsync_interval: Duration,
    /// Most records in one batch.
    pub batch_entries: usize,
    /// How long a graceful shutdown may take to empty the journal; the rest waits for the next start.
    pub shutdown_deadline: Duration,
}

/// What becomes of requests while their usage cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// They are refused: nothing is given away.
    #[default]
    Reject,
    /// They are served, counted, and never billed.
    ServeUnmetered,
}

impl MeterSettings {
    /// Defaults: 4 lanes, 4 GiB (55 minutes of 10,000 requests a second), requests refused when that is full, 50 ms,
    /// 512 entries, 10 s.
    pub fn new(directory: impl Into<PathBuf>, gateway: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            gateway: gateway.into(),
            lanes: 4,
            budget_bytes: 4 << 30,
            when_full: WhenFull::Reject,
            fsync_interval: Duration::from_millis(50),
            batch_entries: 512,
            shutdown_deadline: Duration::from_secs(10),
        }
    }
}

/// Why the meter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal's directory cannot be used.
    #[error("cannot open the usage journal in {path}: {source}; check that the directory is writable and not full")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The gateway's name cannot be part of a stream.
    #[error("`{name}` is not a gateway name: use 1 to 128 letters, digits, -, _ and ., with a letter or digit first")]
    Gateway {
        /// The name.
        name: String,
    },
    /// Too little disk to work with.
    #[error("a journal budget of {budget} bytes is too small for its lanes: allow at least {least}")]
    Budget {
        /// As configured.
        budget: u64,
        /// What would do.
        least: u64,
    },
    /// The metrics are registered already.
    #[error("cannot register the usage journal's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
