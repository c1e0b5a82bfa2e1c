//! Finding the servers' programs, and running programs that end by themselves.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::{error::ServerError, log::end_of};

/// A program on PATH; `package` is the Debian package that has it.
pub(crate) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, ServerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or(ServerError::NotInstalled { program, package })
}

/// Runs a program that ends by itself, and returns its standard output.
pub(crate) fn run(what: &str, mut command: Command) -> Result<String, ServerError> {
    let Output { status, stdout, stderr } = command.output().map_err(ServerError::io(format!("run {what}")))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let output = end_of(&[stdout, stderr].concat());
    Err(ServerError::Failed { what: what.into(), status: status.to_string(), output })
}
