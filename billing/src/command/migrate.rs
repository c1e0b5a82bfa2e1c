//! `billing migrate`: brings the store's schema up to date and names the steps that it took.

use clap::Args;
use common::store::Store;

use super::{CommandError, log, print, store::StoreArguments};
use crate::config::Environment;

#[derive(Debug, Args)]
pub(super) struct MigrateArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Say which steps are pending, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(arguments: &MigrateArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let url = arguments.store.url(environment)?;
    let (migrated, done, step) = if arguments.dry_run {
        (Store::pending(&url).await?, "nothing was changed", "pending")
    } else {
        let (store, migrated) = Store::open_and_migrate(&url).await?;
        store.close().await;
        (migrated, "migrated", "applied")
    };
    let done = if migrated.from == migrated.to { "up to date" } else { done };
    let summary = format!("schema version {} -> {} ({done})\n", migrated.from, migrated.to);
    print(&migrated.steps().fold(summary, |text, name| text + &format!("{step} {name}\n")))
}
