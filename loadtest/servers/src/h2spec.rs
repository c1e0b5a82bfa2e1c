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

/// The version that is used.
const VERSION: &str = "v2.2.1+incompatible";

/// The program.
pub fn h2spec() -> Result<PathBuf, ServerError> {
    let mut resolve = Command::new("sh");
    resolve.args(["-c", RESOLVE, "resolve", VERSION]).stdin(Stdio::null());
    let found = program::run("building h2spec", resolve)?;
    Ok(PathBuf::from(found.trim_end()))
}
