//! The pepper that secrets are hashed under, for commands that create secrets.

use std::path::PathBuf;

use clap::Args;
use common::{config, key::Pepper};

use crate::error::Failure;

const PEPPER_HELP: &str =
    "File with the gateways' pepper; with --api, none is needed [env: TOLLGATE_PEPPER, the pepper itself]";

/// The source of the pepper.
#[derive(Debug, Args)]
pub(crate) struct PepperArgs {
    // Not clap's `env`: the variable holds the pepper itself, and help texts would print it.
    #[arg(long, value_name = "FILE", help = PEPPER_HELP)]
    pepper_file: Option<PathBuf>,
}

impl PepperArgs {
    /// The pepper from the file if one is named, else from the environment.
    pub(crate) fn load(&self) -> Result<Pepper, Failure> {
        if let Some(file) = &self.pepper_file {
            return Ok(Pepper::load(None, Some(file))?);
        }
        let pepper = config::environment("TOLLGATE_PEPPER").ok_or(Failure::PepperMissing)?;
        Ok(Pepper::new(pepper.as_bytes())?)
    }
}
