//! Logs: one JSON object per line on stderr, with the event's fields at its top.

use common::telemetry::{Line, log_panics};
use tracing_subscriber::EnvFilter;

/// Starts logging from `level` on, unless `RUST_LOG` says otherwise.
pub(super) fn start(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Logging that was started before, by whoever embeds this, stays as it is.
    let _ = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .event_format(Line)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    log_panics();
}
