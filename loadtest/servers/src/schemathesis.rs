//! Schemathesis: a fuzzer that reads an OpenAPI document and sends what it allows, and what it does
//! not.

use std::path::PathBuf;

use crate::{error::ServerError, python};

const REQUIREMENTS: &str = include_str!("../schemathesis/requirements.txt");

/// The fuzzer's program.
pub fn schemathesis() -> Result<PathBuf, ServerError> {
    Ok(python::programs("schemathesis", REQUIREMENTS)?.join("schemathesis"))
}
