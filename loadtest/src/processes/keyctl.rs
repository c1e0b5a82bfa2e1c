//! Setting up tenants the way an admin does: through the `keyctl` binary.

use std::{ffi::OsStr, path::PathBuf};

use common::{
    id::{KeyId, TenantId},
    key::Mode,
};
use serde::Deserialize;
use tokio::process::Command;

/// Runs `keyctl` against one store.
#[derive(Debug, Clone)]
pub struct Keyctl {
    /// The binary.
    pub binary: PathBuf,
    /// URL of the store.
    pub store: String,
    /// The pepper under which keys are hashed.
    pub pepper: String,
}

/// A call of `keyctl` failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyctlError {
    /// The binary could not be started.
    #[error("cannot start {binary}: {source}")]
    Start {
        /// The binary.
        binary: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// It ran and refused.
    #[error("keyctl {arguments}: {message}")]
    Refused {
        /// The arguments it got.
        arguments: String,
        /// Its standard error.
        message: String,
    },
    /// It printed something else than the JSON expected.
    #[error("keyctl printed something unexpected: {0}")]
    Output(#[from] serde_json::Error),
}

/// A key that was just created, with its secret.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// Its public identifier.
    pub id: KeyId,
    /// The key to send.
    pub secret: String,
}

impl Keyctl {
    /// Applies a plan file.
    pub async fn apply_plans(&self, file: &std::path::Path) -> Result<(), KeyctlError> {
        self.call([OsStr::new("plan"), OsStr::new("apply"), file.as_os_str()]).await.map(drop)
    }

    /// Creates a tenant under `parent`, on `plan`.
    pub async fn create_tenant(
        &self,
        name: &str,
        kind: &str,
        parent: Option<TenantId>,
        plan: Option<&str>,
    ) -> Result<TenantId, KeyctlError> {
        #[derive(Deserialize)]
        struct Created {
            id: TenantId,
        }

        let mut arguments = vec!["tenant", "create", "--name", name, "--kind", kind];
        let parent = parent.map(|parent| parent.to_string());
        if let Some(parent) = &parent {
            arguments.extend(["--parent", parent]);
        }
        if let Some(plan) = plan {
            arguments.extend(["--plan", plan]);
        }
        let created: Created = serde_json::from_slice(&self.call(arguments).await?)?;
        Ok(created.id)
    }

    /// Creates a key for `tenant`.
    pub async fn create_key(&self, tenant: TenantId, name: &str, mode: Mode) -> Result<CreatedKey, KeyctlError> {
        #[derive(Deserialize)]
        struct Created {
            key: Identified,
            secret: String,
        }
        #[derive(Deserialize)]
        struct Identified {
            id: KeyId,
        }

        let tenant = tenant.to_string();
        let mut arguments = vec!["key", "create", "--tenant", &tenant, "--name", name];
        if mode == Mode::Test {
            arguments.push("--test");
        }
        let created: Created = serde_json::from_slice(&self.call(arguments).await?)?;
        Ok(CreatedKey { id: created.key.id, secret: created.secret })
    }

    /// Creates an admin key with a role at `tenant`, and gives its secret.
    pub async fn create_admin_key(&self, tenant: TenantId, name: &str, role: &str) -> Result<String, KeyctlError> {
        #[derive(Deserialize)]
        struct Created {
            secret: String,
        }

        let tenant = tenant.to_string();
        let arguments = ["admin-key", "create", "--tenant", &tenant, "--name", name, "--role", role];
        let created: Created = serde_json::from_slice(&self.call(arguments).await?)?;
        Ok(created.secret)
    }

    /// Runs one command with JSON output and returns what it printed.
    pub async fn call<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Vec<u8>, KeyctlError> {
        let mut command = Command::new(&self.binary);
        command.args(["--output", "json", "--store", &self.store]).args(arguments);
        command.env("TOLLGATE_PEPPER", &self.pepper);
        let finished = command
            .output()
            .await
            .map_err(|source| KeyctlError::Start { binary: self.binary.display().to_string(), source })?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        let arguments: Vec<_> = command.as_std().get_args().skip(4).map(OsStr::to_string_lossy).collect();
        Err(KeyctlError::Refused {
            arguments: arguments.join(" "),
            message: String::from_utf8_lossy(&finished.stderr).trim().to_owned(),
        })
    }
}
