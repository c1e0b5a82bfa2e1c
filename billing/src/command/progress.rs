//! Progress of a run: a bar on a terminal, else a log line now and then.

use std::{
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::invoice::Progress;

/// Time from one log line to the next; a run that is shorter logs nothing.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

const TEMPLATE: &str = "{msg} [{bar:40}] {pos}/{len}, {elapsed}";

/// Tells of progress on stderr.
pub(super) struct ProgressReport {
    bar: Option<ProgressBar>,
    logged: Mutex<Instant>,
}

impl ProgressReport {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0).with_style(style.progress_chars("=> ")));
        Self { bar, logged: Mutex::new(Instant::now()) }
    }

    pub(super) fn tell(&self, progress: Progress) {
        match progress {
            Progress::Read { done, of } => self.tell_stage("reading usage", done, of),
            Progress::Issued { done, of } => self.tell_stage("issuing invoices", done, of),
        }
    }

    pub(super) fn tell_stage(&self, stage: &'static str, done: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(stage);
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.elapsed() >= LOG_INTERVAL {
            *logged = Instant::now();
            tracing::info!(event = "run_progress", stage, done, of);
        }
    }

    /// Takes the bar off the terminal.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
