//! Which store a command works on.

use std::path::{Path, PathBuf};

use clap::Args;
use common::store::{Migrated, Store, StoreError};

use super::CommandError;
use crate::config::{Config, DEFAULT_FILE, Environment};

/// Tells a long-running process whether to migrate an older schema.
#[derive(Debug, Args)]
pub(super) struct MigrateArgument {
    /// Bring an older schema up to date first, as `billing migrate` does. Without it, an older
    /// schema is refused
    #[arg(long)]
    migrate: bool,
}

impl MigrateArgument {
    /// Opens the store. An empty one is set up; one whose schema is older is changed if that was
    /// asked for.
    pub(super) async fn open(&self, url: &str) -> Result<(Store, Migrated), CommandError> {
        let opened = if self.migrate { Store::open_and_migrate(url).await } else { Store::open_or_create(url).await };
        let (store, migrated) = opened.map_err(|error| match error {
            StoreError::SchemaOlder { .. } => CommandError::Pending(error),
            other => other.into(),
        })?;
        if migrated.from != migrated.to {
            let steps = migrated.steps().collect::<Vec<_>>().join(", ");
            tracing::info!(event = "schema_migrated", from = migrated.from, to = migrated.to, steps);
        }
        Ok((store, migrated))
    }
}

/// Names the store: by URL, or by the settings that hold it.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// Settings that name the store.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "store",
        help = "Settings that name the store, if TOLLGATE_STORE does not [default: config/billing.yaml]"
    )]
    config: Option<PathBuf>,
    /// URL of the store.
    #[arg(
        long,
        value_name = "URL",
        help = "URL of the store, as in sqlite://data/tollgate.db; no settings are read then"
    )]
    store: Option<String>,
}

impl StoreArguments {
    /// The URL: from the command line, else from the environment, else from the settings.
    pub(super) fn url(&self, environment: &Environment) -> Result<String, CommandError> {
        Ok(self.resolve(environment)?.0)
    }

    /// The URL, and the settings if they were read. Brokers that the environment names count as
    /// settings.
    pub(super) fn resolve(&self, environment: &Environment) -> Result<(String, Option<Config>), CommandError> {
        let without_file = || {
            let brokers = environment.kafka.as_ref()?;
            let mut config = Config::default();
            config.ingest.brokers.clone_from(brokers);
            Some(config)
        };
        if let Some(url) = &self.store {
            return Ok((url.clone(), without_file()));
        }
        match (&self.config, &environment.store) {
            // The environment alone is enough: a host without a settings file is fine then.
            (None, Some(url)) => Ok((url.clone(), without_file())),
            (file, _) => {
                let file = file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
                let config = Config::load(file, environment)?;
                Ok((config.store.clone(), Some(config)))
            }
        }
    }
}
