//! Programs of others that read what is exported: beancount, and the validator of FOCUS.

use std::{path::PathBuf, process::Command};

use crate::{error::ServerError, python};

const BEANCOUNT: &str = include_str!("../beancount/requirements.txt");
const FOCUS: &str = include_str!("../focus/requirements.txt");

/// The program `bean-check`, which reads a file of beancount, and tells its faults.
pub fn bean_check() -> Result<PathBuf, ServerError> {
    Ok(python::programs("beancount", BEANCOUNT)?.join("bean-check"))
}

/// The validator of FOCUS, without arguments. The latest that is published knows the rules of version 1.0,
/// and some columns by the names that they had before it.
pub fn focus_validator() -> Result<Command, ServerError> {
    let mut command = Command::new(python::programs("focus_validator", FOCUS)?.join("python"));
    // It looks for its list of currencies from the folder that it is installed in.
    let start = "import os, focus_validator; \
        os.chdir(os.path.dirname(os.path.dirname(focus_validator.__file__))); \
        from focus_validator.main import main; main()";
    command.args(["-c", start]).env("DISABLE_PANDERA_IMPORT_WARNING", "True");
    Ok(command)
}
