//! h2spec: a client that checks a server against the rules of HTTP/2, one by one.
//!
//! It is built with Go the first time and stays in the user's cache directory; see
//! `h2spec/resolve.sh`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::ServerError, program};

const RESOLVE: &str = include_str!("../h2spec/resolve.sh");
const MODULE: &str = include_str!("../h2spec/go.mod");
const SUMS: &str = include_str!("../h2spec/go.sum");

/// The program.
pub fn h2spec() -> Result<PathBuf, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", MODULE, SUMS]).stdin(Stdio::null());
    let found = program::run("building h2spec", resolve)?;
    Ok(PathBuf::from(found.trim_end()))
}
