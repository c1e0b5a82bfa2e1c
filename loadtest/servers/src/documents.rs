//! The program `documents`, which is a workspace of its own: built when a test first asks for it.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{error::ServerError, program};

/// Its folder, and the one of what is built of it.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../documents/Cargo.toml");
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/documents");

/// Returns the program, as it is in this checkout.
pub fn documents_program() -> Result<PathBuf, ServerError> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BUILT.get() {
        return Ok(built.clone());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--manifest-path", MANIFEST, "--target-dir", TARGET]);
    program::run("building the program documents", {
        build.stdin(Stdio::null());
        build
    })?;
    Ok(BUILT.get_or_init(|| PathBuf::from(TARGET).join("debug/documents")).clone())
}
