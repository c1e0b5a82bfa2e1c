//! Programs that are built with Go the first time and stay in the user's cache directory; see
//! `go/resolve.sh`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{error::ServerError, program};

const RESOLVE: &str = concat!(include_str!("../fetch.sh"), include_str!("../go/resolve.sh"));

/// A program, and the versions that it is built from.
pub(crate) struct GoProgram {
    /// The module that has it.
    pub(crate) module: &'static str,
    /// Its package, whose last part is the program's name.
    pub(crate) package: &'static str,
    /// Content of `go.mod`.
    pub(crate) requirements: &'static str,
    /// Content of `go.sum`.
    pub(crate) sums: &'static str,
}

impl GoProgram {
    /// Builds the program, if it is not there, and returns its path.
    pub(crate) fn path(&self) -> Result<PathBuf, ServerError> {
        let mut resolve = Command::new("sh");
        resolve
            .args(["-c", RESOLVE, "resolve", self.module, self.package, self.requirements, self.sums])
            .stdin(Stdio::null());
        let found = program::run(&format!("building {}", self.package), resolve)?;
        Ok(PathBuf::from(found.trim_end()))
    }
}
