//! Settings of the meter, and the errors of a start with them.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the meter. [`MeterSettings::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct MeterSettings {
    /// Directory of the journal. It must survive restarts; gateways on one host may share it.
    pub directory: PathBuf,
    /// Name of this gateway, part of every stream: letters, digits, `-`, `_` and `.`.
    pub gateway: String,
    /// Number of lanes, best one per worker thread.
    pub lanes: u16,
    /// Disk that the journal may fill, rings and spool together. Each record takes 128 bytes.
    pub budget_bytes: u64,
    /// Policy for requests once the journal is full.
    pub when_full: WhenFull,
    /// Time between two syncs to disk. A power cut (not a crash) may lose records that are newer.
    pub fsync_interval: Duration,
    /// Most records in one batch.
    pub batch_entries: usize,
    /// Longest time that a graceful shutdown may take to empty the journal. The rest waits for the
    /// next start.
    pub shutdown_deadline: Duration,
}

/// Policy for requests while their usage cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Requests are refused, so that nothing is given away.
    #[default]
    Reject,
    /// Requests are served and counted, and never billed.
    ServeUnmetered,
}

impl MeterSettings {
    /// Defaults: 4 lanes, 4 GiB (55 minutes of 10,000 requests a second), requests refused when
    /// that is full, 50 ms, 512 entries, 10 s.
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

/// Reason why the meter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal's directory cannot be used.
    #[error("cannot open the usage journal in {path}: {source}; check that the directory is writable and not full")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Error of the operating system.
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
        /// Configured budget.
        budget: u64,
        /// Least budget for this number of lanes.
        least: u64,
    },
    /// The metrics are registered already.
    #[error("cannot register the usage journal's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
