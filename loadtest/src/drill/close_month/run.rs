//! `billing run`, timed, with the most memory that it took.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{process::Command, time::sleep};

use super::fixture::{NOW, PERIOD};
use crate::{drill::error::DrillError, process_stat::peak_resident_mib, processes};

/// Time from one look at the memory to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A run that has ended well.
pub(super) struct Finished {
    pub(super) seconds: f64,
    pub(super) peak_rss_mib: f64,
}

/// Closes the month.
pub(super) async fn close(store: &str) -> Result<Finished, DrillError> {
    let began = Instant::now();
    let mut run = Command::new(processes::binary("billing")?)
        .args(["run", "--period", PERIOD, "--now", NOW, "--store", store, "--output", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut peak_rss_mib: f64 = 0.0;
    let status = loop {
        if let Some(status) = run.try_wait()? {
            break status;
        }
        // A process that has ended between the two has no memory left to tell of.
        if let Some(Ok(peak)) = run.id().map(peak_resident_mib) {
            peak_rss_mib = peak_rss_mib.max(peak);
        }
        sleep(LOOK_INTERVAL).await;
    };
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(DrillError::Patience(format!("billing run: {status}")));
    }
    Ok(Finished { seconds, peak_rss_mib })
}
