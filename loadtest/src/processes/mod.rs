//! The real binaries as processes that a program starts, watches and harms: for the demo,
//! end-to-end tests and drills.
//!
//! Every process has a directory for its configuration, its log and the pepper, listens on the
//! loopback interface only, counts as started once it says that it is ready, and dies with the
//! handle that was given out for it.

mod bill;
mod billing;
mod error;
mod gateway;
mod ingest;
mod kafka;
mod keyctl;
mod launch;
mod port;
mod probe;

use std::path::{Path, PathBuf};

pub use bill::{Bill, BillError, BillReader, Invoice};
pub use billing::BillingProcess;
pub use error::ProcessError;
pub use gateway::{GatewayOptions, GatewayProcess, UsageSink, whole_path};
pub use ingest::IngestProcess;
pub use kafka::KafkaAccess;
pub use keyctl::{CreatedKey, Keyctl, KeyctlError};
pub use launch::{Launch, wait_ready};
pub use port::{ensure_free, free_address};
pub use probe::{Answer, get};
use rand::RngExt as _;
pub use servers::Process;

/// The binary `name`, which is expected beside the program that runs now (for a test: one directory
/// above it).
pub fn binary(name: &str) -> Result<PathBuf, ProcessError> {
    let missing = |looked_in: String| ProcessError::BinaryMissing { name: name.to_owned(), looked_in };
    let current = std::env::current_exe().map_err(|error| missing(error.to_string()))?;
    let directory = current.parent().unwrap_or(Path::new("."));
    // Tests and examples stand one level below the binaries.
    let candidates = [directory.join(name), directory.join("..").join(name)];
    let found = candidates.iter().find_map(|candidate| candidate.canonicalize().ok().filter(|path| path.is_file()));
    found.ok_or_else(|| missing(directory.display().to_string()))
}

/// The secret that the processes of `directory` share; made up and written to the file `pepper`
/// there at first use.
pub fn pepper(directory: &Path) -> Result<String, ProcessError> {
    let file = pepper_file(directory);
    if let Ok(pepper) = std::fs::read_to_string(&file) {
        return Ok(pepper);
    }
    let pepper = format!("{:032x}{:032x}", rand::rng().random::<u128>(), rand::rng().random::<u128>());
    write(&file, &pepper)?;
    Ok(pepper)
}

fn pepper_file(directory: &Path) -> PathBuf {
    directory.join("pepper")
}

/// Writes a file, creating its directory. Whoever reads the file meanwhile sees the former text or
/// the new one.
fn write(file: &Path, text: &str) -> Result<(), ProcessError> {
    let failed = |source| ProcessError::File { file: file.display().to_string(), source };
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    let written = file.with_extension("new");
    std::fs::write(&written, text).map_err(failed)?;
    std::fs::rename(&written, file).map_err(failed)
}

/// Writes settings as YAML.
fn write_yaml(file: &Path, settings: &serde_json::Value) -> Result<(), ProcessError> {
    let failed = |error| ProcessError::File { file: file.display().to_string(), source: std::io::Error::other(error) };
    write(file, &serde_yaml::to_string(settings).map_err(failed)?)
}
