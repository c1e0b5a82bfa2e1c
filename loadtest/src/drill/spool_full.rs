//! The sink away until the disk is full, once for each policy. The journal stands on a file system of its own, small
//! enough to fill.
//!
//! With `reject`, requests are refused and nothing is lost. With `serve_unmetered`, they are served and counted as
//! unmetered: `received <= billed + unmetered <= accepted`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;

use super::{
    DrillError, Outcome, close,
    harm::{burst, customers},
};
use crate::{
    fleet,
    house::{Books, House, Plan},
    load::Load,
};

pub(super) const NAME: &str = "spool-full";

/// Size of the journal's file system: the rings, and a few seconds of load.
const DISK_MIB: u32 = 24;

/// Load while the sink is away: enough to fill the rings and then the disk, also on a slow machine.
const AWAY: Duration = Duration::from_mins(2);

pub(super) async fn run(faults: u32) -> Result<Outcome, DrillError> {
    let mut sum: Option<Outcome> = None;
    for fault in 0..faults {
        let policy = if fault % 2 == 0 { "reject" } else { "serve_unmetered" };
        let outcome = fill(policy).await?;
        sum = Some(match sum {
            None => outcome,
            Some(before) => Outcome {
                faults: before.faults + outcome.faults,
                at_risk: before.at_risk + outcome.at_risk,
                received: before.received + outcome.received,
                billed: before.billed + outcome.billed,
                accepted: before.accepted + outcome.accepted,
                ok: before.ok && outcome.ok,
                wrong: before.wrong.or(outcome.wrong),
                ..before
            },
        });
    }
    sum.ok_or_else(|| DrillError::Io(std::io::Error::other("there is nothing to do: name at least one fault")))
}

async fn fill(policy: &'static str) -> Result<Outcome, DrillError> {
    let disk = SmallDisk::mount()?;
    let usage = json!({ "journal": disk.path().join("journal"), "when_full": policy });
    let house = House::build(Plan { usage, ..Plan::at_scale() }).await?;
    let customers = customers(&house).await?;
    let mut books = Books::default();
    books.add(&burst(&house, &customers).run().await?);
    if let Some(kafka) = &house.kafka {
        kafka.pause()?;
    }
    let away = Load { duration: AWAY, ..burst(&house, &customers) };
    let result = away.run().await?;
    let refused = result.by_status.get(&503).copied().unwrap_or(0);
    books.add(&result);
    let unmetered = unmetered(&house).await?;
    if let Some(kafka) = &house.kafka {
        kafka.resume()?;
    }
    let wrong = match policy {
        "reject" if refused == 0 => Some("the disk never filled: nothing was refused".to_owned()),
        "reject" if unmetered > 0 => Some(format!("{unmetered} requests were served unmetered")),
        "serve_unmetered" if unmetered == 0 => Some("the disk never filled: nothing was unmetered".to_owned()),
        "serve_unmetered" if refused > 0 => Some(format!("{refused} requests were refused")),
        _ => None,
    };
    books.unmetered = unmetered;
    close(NAME, 1, house, books, wrong).await
}

/// Requests that the gateway says it served without a record.
async fn unmetered(house: &House) -> Result<u64, DrillError> {
    let metrics = fleet::get(house.gateway.admin(), "/metrics").await?.body;
    let tenants = metrics.lines().filter(|line| line.starts_with("tollgate_unmetered_requests_total{"));
    Ok(tenants.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// A file system in memory, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Result<Self, DrillError> {
        let directory = tempfile::tempdir()?;
        let size = format!("size={DISK_MIB}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output()?;
        if mounted.status.success() {
            return Ok(Self(directory));
        }
        let reason = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
        Err(DrillError::Io(std::io::Error::other(format!("a small file system needs root: {reason}"))))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.0.path());
    }
}

/// A lazy unmount succeeds while a process that is about to end still has a file open.
fn unmount(path: &Path) {
    // What stays mounted after a failure goes with the machine's memory, and no test depends on it.
    let _ = Command::new("umount").arg("--lazy").arg(path).status();
}
