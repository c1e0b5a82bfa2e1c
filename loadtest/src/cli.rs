//! The failing end of a command of this crate.

use std::{error::Error, io::Write as _, process::ExitCode};

/// Prints the error on standard error, and returns the exit code of a failure.
pub fn fail(error: &dyn Error) -> ExitCode {
    // A closed stderr leaves nobody to tell; the exit code still does.
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
    ExitCode::FAILURE
}
