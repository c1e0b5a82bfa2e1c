//! Schemathesis: a fuzzer that reads an OpenAPI document and sends what it allows, and what it does
//! not.
//!
//! It comes from the Python package index the first time and stays in the user's cache directory;
//! see `schemathesis/resolve.sh`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::ServerError, program};

const RESOLVE: &str = include_str!("../schemathesis/resolve.sh");
const REQUIREMENTS: &str = include_str!("../schemathesis/requirements.txt");

/// The fuzzer's program.
pub fn schemathesis() -> Result<PathBuf, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", REQUIREMENTS]).stdin(Stdio::null());
    let found = program::run("finding the packages of schemathesis", resolve)?;
    Ok(PathBuf::from(found.trim_end()))
}
