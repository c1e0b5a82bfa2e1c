//! The Autobahn test suite: a client that checks a WebSocket against RFC 6455, case by case, and a
//! server for it.
//!
//! It comes from the Python package index the first time and stays in the user's cache directory;
//! see `autobahn/resolve.sh`. It runs on Python 2.7.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::ServerError, program};

const RESOLVE: &str = concat!(include_str!("../fetch.sh"), include_str!("../autobahn/resolve.sh"));
const REQUIREMENTS: &str = include_str!("../autobahn/requirements.txt");

/// The program.
pub fn wstest() -> Result<PathBuf, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", REQUIREMENTS]).stdin(Stdio::null());
    let found = program::run("finding the Autobahn test suite", resolve)?;
    Ok(PathBuf::from(found.trim_end()))
}
