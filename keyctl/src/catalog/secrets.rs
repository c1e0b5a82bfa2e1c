//! The file that new secrets are written to: for its owner only, and never over another file.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde_json::json;

use super::change::Change;
use crate::error::Failure;

/// A file of secrets, one JSON object a line.
pub(super) struct SecretsFile(File);

impl SecretsFile {
    /// Makes the file, which must not be there.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.map(Self).map_err(|error| Failure::SecretsFile(path.display().to_string(), error.to_string()))
    }

    /// Adds the secret of what a change has created. It is on disk once this returns.
    pub(super) fn add(&mut self, change: &Change, id: &str, secret: &str) -> Result<(), Failure> {
        let Change { kind, tenant, name, .. } = change;
        let line = json!({ "tenant": tenant, "kind": kind, "name": name, "id": id, "secret": secret });
        writeln!(self.0, "{line}")
            .and_then(|()| self.0.sync_all())
            .map_err(|error| Failure::SecretsFile(format!("the secret of {kind} `{name}` ({id})"), error.to_string()))
    }
}
