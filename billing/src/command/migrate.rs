//! `billing migrate`: brings the store's schema up to date and says from where to where.

use clap::Args;
use common::store::Store;

use super::{CommandError, log, print, store::StoreArguments};
use crate::config::Environment;

#[derive(Debug, Args)]
pub(super) struct MigrateArguments {
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &MigrateArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let (store, migrated) = Store::open_and_migrate(&arguments.store.url(environment)?).await?;
    store.close().await;
    let done = if migrated.from == migrated.to { "up to date" } else { "migrated" };
    print(&format!("schema version {} -> {} ({done})\n", migrated.from, migrated.to))
}
