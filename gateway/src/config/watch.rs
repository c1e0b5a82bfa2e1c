//! Follows the file while the gateway runs.
//!
//! The content is read and compared twice a second. That also sees what change notification of the
//! file system often misses: editors that save by renaming, and mounted config maps that swing a
//! symbolic link. SIGHUP reads at once and looks host names up again even if nothing changed. A
//! file with any fault changes nothing at all.

use std::{path::PathBuf, time::Duration};

use common::{
    config::ConfigError,
    time::{Clock as _, SystemClock},
};
use prometheus::{IntCounterVec, IntGauge};
use tokio::{signal::unix::Signal, time::MissedTickBehavior};
use tracing::{error, info, warn};

use super::{Overrides, ProcessSettings, Settings};
use crate::metrics;

const POLL_INTERVAL: Duration = Duration::from_millis(500);

const REFUSED: &str = "configuration_refused";

/// Most faults of one content that are logged, a line each.
const FAULTS_LOGGED_MAX: usize = 20;

/// Follows one file and hands every valid content on.
pub struct Watcher {
    path: PathBuf,
    overrides: Overrides,
    started_with: ProcessSettings,
    /// The text that was read last, valid or not; `None` if it could not be read.
    seen: Option<String>,
    reloads: IntCounterVec,
    last_successful: IntGauge,
    applied_at: IntGauge,
    hangups: Signal,
}

impl Watcher {
    /// A watcher of the file whose content `text` is in force as `running`. A change since then, be
    /// it during a slow start, is seen at the first look. `hangups` are those of SIGHUP.
    pub fn new(path: PathBuf, text: String, overrides: Overrides, running: &Settings, hangups: Signal) -> Self {
        let reloads = metrics::counters(
            "tollgate_config_reloads_total",
            "Changed configuration files by outcome: applied or refused",
            &["outcome"],
        );
        let last_successful = metrics::gauge(
            "tollgate_config_last_reload_successful",
            "1 if the configuration file as it is now is the one in force",
        );
        last_successful.set(1);
        let applied_at = metrics::gauge(
            "tollgate_config_last_applied_timestamp_seconds",
            "Unix time at which the configuration in force was applied",
        );
        applied_at.set(seconds_now());
        let started_with = running.process.clone();
        Self { path, overrides, started_with, seen: Some(text), reloads, last_successful, applied_at, hangups }
    }

    /// Runs until dropped. `apply` takes each new configuration into force.
    pub async fn run<F: Future<Output = ()> + Send>(mut self, apply: impl Fn(Settings) -> F + Send + Sync + 'static) {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let forced = tokio::select! {
                _ = ticks.tick() => false,
                Some(()) = self.hangups.recv() => true,
            };
            let content = tokio::fs::read_to_string(&self.path).await;
            if !forced && content.as_ref().ok() == self.seen.as_ref() {
                continue;
            }
            self.seen = content.as_ref().ok().cloned();
            let outcome = self.parse(content).await;
            self.conclude(outcome, &apply).await;
        }
    }

    /// Checks the content away from the runtime's threads: reading certificates blocks.
    async fn parse(&self, content: std::io::Result<String>) -> Result<Settings, ConfigError> {
        let file = self.path.display().to_string();
        let text = content.map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
        let overrides = self.overrides.clone();
        let name = file.clone();
        tokio::task::spawn_blocking(move || Settings::parse(&text, &name, &overrides))
            .await
            .unwrap_or_else(|error| Err(ConfigError::Invalid { file, line: 1, reason: error.to_string() }))
    }

    async fn conclude<F: Future<Output = ()>>(
        &self,
        outcome: Result<Settings, ConfigError>,
        apply: &impl Fn(Settings) -> F,
    ) {
        match outcome {
            Ok(settings) => {
                for setting in self.started_with.differences(&settings.process) {
                    warn!(event = "setting_needs_restart", setting);
                }
                let (routes, upstreams) = (settings.routes.len(), settings.upstreams.len());
                apply(settings).await;
                self.reloads.with_label_values(&["applied"]).inc();
                self.last_successful.set(1);
                self.applied_at.set(seconds_now());
                info!(event = "configuration_applied", file = %self.path.display(), routes, upstreams);
            }
            Err(refusal) => {
                self.reloads.with_label_values(&["refused"]).inc();
                self.last_successful.set(0);
                match &refusal {
                    ConfigError::Faulty(faults) => {
                        for fault in faults.iter().take(FAULTS_LOGGED_MAX) {
                            let (line, column) = (fault.place.line, fault.place.column);
                            error!(event = REFUSED, file = faults.file, line, column, reason = fault.reason);
                        }
                    }
                    ConfigError::Unreadable { file, source } => error!(event = REFUSED, file, reason = %source),
                    ConfigError::Invalid { file, line, reason } => error!(event = REFUSED, file, line, reason),
                    ConfigError::Fault(fault) => error!(event = REFUSED, reason = fault.reason),
                }
            }
        }
    }
}

fn seconds_now() -> i64 {
    SystemClock.now().0 / 1_000_000
}
