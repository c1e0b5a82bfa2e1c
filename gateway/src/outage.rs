//! One log line when something that is depended on goes away, one when it is back: not one per
//! attempt.

use std::{fmt, sync::Mutex, time::Instant};

use crate::lock::locked;

/// The outage of one dependency, logged once at its start and once at its end.
pub(crate) struct Outage {
    what: &'static str,
    since: Mutex<Option<Instant>>,
}

impl Outage {
    /// `what` names the dependency in log lines.
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, since: Mutex::new(None) }
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, error: &dyn fmt::Display) {
        let mut since = locked(&self.since);
        if since.is_none() {
            *since = Some(Instant::now());
            tracing::warn!(event = "outage_began", what = self.what, %error);
        }
    }

    /// An attempt succeeded.
    pub(crate) fn over(&self) {
        if let Some(since) = locked(&self.since).take() {
            tracing::info!(event = "outage_ended", what = self.what, seconds = since.elapsed().as_secs_f64());
        }
    }
}

/// An error with all its causes: the outermost text alone says next to nothing.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
