//! How the commands of this crate end when something went wrong.

use std::{error::Error, io::Write as _, process::ExitCode};

/// Tells the error on standard error; the exit code says that it failed.
pub fn fail(error: &dyn Error) -> ExitCode {
    // A closed stderr leaves nobody to tell; the exit code still does.
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
    ExitCode::FAILURE
}
