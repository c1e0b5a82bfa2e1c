//! `billing run`, killed and finished.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use rand::RngExt as _;
use tokio::{process::Command, time::sleep};

use super::books::{after, period};
use crate::{deployment::billing_command, drill::error::DrillError, processes};

/// Runs of one store.
pub(super) struct Runs {
    binary: PathBuf,
    store: String,
}

impl Runs {
    pub(super) fn new(store: String) -> Result<Self, DrillError> {
        Ok(Self { binary: processes::binary("billing")?, store })
    }

    /// Runs a month, and kills the run at a random moment of `span`; now and then it is done before.
    pub(super) async fn harm(&self, month: u32, span: Duration) -> Result<(), DrillError> {
        let mut run = Command::new(&self.binary)
            .args(["run", "--period", &period(month), "--now", &after(month), "--store", &self.store])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let moment = span.mul_f64(rand::rng().random_range(0.0..1.0));
        sleep(moment).await;
        run.start_kill()?;
        run.wait().await?;
        Ok(())
    }

    /// Runs a month to its end, and says how long that took.
    pub(super) async fn finish(&self, month: u32) -> Result<Duration, DrillError> {
        let started = Instant::now();
        billing_command(&["run", "--period", &period(month), "--now", &after(month), "--store", &self.store]).await?;
        // Without a kill, a run that has something to issue takes longer than one that has not.
        Ok(started.elapsed().max(Duration::from_millis(100)) * 2)
    }

    /// Reconciles the books.
    pub(super) async fn audit(&self) -> Result<(), DrillError> {
        billing_command(&["audit", "--store", &self.store]).await?;
        Ok(())
    }
}
