//! The documents of a month, made by `billing documents`: how long they take, and whether the
//! programs that make them grow.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{process::Command, time::sleep};

use crate::{drill::error::DrillError, process_stat::resident_mib, processes};

/// Time from one look at the memory to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Documents that are made at the same time: one for each core of the machine that the target is for.
const PROCESSES: &str = "2";

/// Time and memory that the documents took.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentFigures {
    /// Documents.
    pub documents: usize,
    /// Time of `billing documents`, in seconds.
    pub documents_seconds: f64,
    /// Most memory of all its processes in the first half of the time, in MiB,
    pub documents_mib_first_half: f64,
    /// and in the second half.
    pub documents_mib_second_half: f64,
}

/// Makes the documents of all invoices of a store.
pub(super) async fn typeset(store: &str) -> Result<DocumentFigures, DrillError> {
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let mut making = Command::new(processes::binary("billing")?)
        .arg("documents")
        .arg(folder.path())
        .args(["--store", store, "--processes", PROCESSES, "--output", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut looks = Vec::new();
    let status = loop {
        if let Some(status) = making.try_wait()? {
            break status;
        }
        looks.push(making.id().map(family_mib).unwrap_or_default());
        sleep(LOOK_INTERVAL).await;
    };
    let documents_seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(DrillError::Patience(format!("billing documents: {status}")));
    }
    let (first, second) = looks.split_at(looks.len() / 2);
    let most = |looks: &[f64]| looks.iter().copied().fold(0.0, f64::max);
    Ok(DocumentFigures {
        documents: count(folder.path())?,
        documents_seconds,
        documents_mib_first_half: most(first),
        documents_mib_second_half: most(second),
    })
}

/// Memory of a process and of its children. One that has ended meanwhile has none.
fn family_mib(parent: u32) -> f64 {
    let children = format!("/proc/{parent}/task");
    let threads = fs::read_dir(children).into_iter().flatten().flatten();
    let of_thread = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let children: Vec<u32> = threads
        .map(of_thread)
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().chain([parent]).filter_map(|pid| resident_mib(pid).ok()).sum()
}

/// Number of PDF files below a folder of folders.
fn count(folder: &std::path::Path) -> Result<usize, DrillError> {
    let mut found = 0;
    for issuer in fs::read_dir(folder)? {
        for file in fs::read_dir(issuer?.path())? {
            found += usize::from(fs::read(file?.path())?.starts_with(b"%PDF-"));
        }
    }
    Ok(found)
}
