//! Runs a command on the store or through the API, with a limit on the time that either may take.

use std::time::Duration;

use common::time::{Clock as _, Micros, SystemClock};

use crate::{
    backend::{Backend, api::ApiBackend, store::StoreBackend},
    catalog,
    cli::{Cli, Command, Place},
    context::Context,
    error::Failure,
    patience::Patience,
};

/// Longest time that closing the store may take.
const CLOSE_TIME_LIMIT: Duration = Duration::from_secs(1);

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    // A completion script needs no store.
    if let Command::Completions(arguments) = cli.command {
        return arguments.run();
    }
    let timeout = cli.global.timeout();
    match cli.global.place()? {
        Place::Api(url, token, tls) => {
            // The timeout holds for each request by itself.
            let backend = ApiBackend::new(&url, &token, &tls, timeout)?;
            execute(cli, Box::new(backend), SystemClock.now(), None).await
        }
        Place::Store(url) => {
            let patience = Patience::new(timeout);
            let work = async {
                let now = SystemClock.now();
                let backend = StoreBackend::open(&url, now, patience.clone()).await?;
                execute(cli, Box::new(backend), now, Some(patience.clone())).await
            };
            tokio::select! {
                biased;
                done = work => done,
                () = patience.ended() => Err(Failure::NoAnswer(timeout.as_secs())),
            }
        }
    }
}

async fn execute(cli: Cli, backend: Box<dyn Backend>, now: Micros, patience: Option<Patience>) -> Result<(), Failure> {
    let context = Context { backend, now, output: cli.global.output(), asking: cli.global.asking(), patience };
    let result = match cli.command {
        Command::Tenant(command) => command.run(&context).await,
        Command::Plan(command) => command.run(&context).await,
        Command::Coupon(command) => command.run(&context).await,
        Command::Key(command) => command.run(&context).await,
        Command::AdminKey(command) => command.run(&context).await,
        Command::Usage(command) => command.run(&context).await,
        Command::Credit(command) => command.run(&context).await,
        Command::Wallet(command) => command.run(&context).await,
        Command::Invoice(command) => command.run(&context).await,
        Command::Payment(command) => command.run(&context).await,
        Command::Ledger(command) => command.run(&context).await,
        Command::Webhook(command) => command.run(&context).await,
        Command::Mail(command) => command.run(&context).await,
        Command::Outbox(command) => command.run(&context).await,
        Command::AuditLog(command) => command.run(&context).await,
        Command::Export => catalog::export(&context).await,
        Command::Diff(arguments) => arguments.diff(&context).await,
        Command::Apply(arguments) => arguments.run(&context).await,
        Command::Completions(arguments) => arguments.run(),
    };
    // The command is done, whether or not the connection closes in time.
    let _ = tokio::time::timeout(CLOSE_TIME_LIMIT, context.backend.close()).await;
    result
}
