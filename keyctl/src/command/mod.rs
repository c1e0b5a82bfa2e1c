//! The commands, one file per group, and what they share: the store, the time and the output.

pub(crate) mod completions;
pub(crate) mod credit;
pub(crate) mod key;
pub(crate) mod plan;
pub(crate) mod tenant;
pub(crate) mod usage;

use common::{
    store::Store,
    time::{Clock as _, Micros, SystemClock},
};

use crate::{
    cli::{Cli, Command},
    error::Failure,
    output::Output,
};

/// What a command works with.
pub(crate) struct Context {
    pub(crate) store: Store,
    /// One instant for the whole command, so that all it says fits together.
    pub(crate) now: Micros,
    pub(crate) output: Output,
}

/// Does what was asked.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    // Completions are wanted where no store exists.
    if let Command::Completions(arguments) = cli.command {
        return arguments.run();
    }
    let store = Store::open(&cli.global.store_url()).await?;
    let context = Context { store, now: SystemClock.now(), output: cli.global.output() };
    let result = match cli.command {
        Command::Tenant(command) => command.run(&context).await,
        Command::Plan(command) => command.run(&context).await,
        Command::Key(command) => command.run(&context).await,
        Command::Usage(command) => command.run(&context).await,
        Command::Credit(command) => command.run(&context).await,
        Command::Completions(arguments) => arguments.run(),
    };
    context.store.close().await;
    result
}
