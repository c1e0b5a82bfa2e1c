//! The commands, one file per group, and what they share: where they work, the time and the output.

pub(crate) mod admin_key;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod credit;
pub(crate) mod key;
pub(crate) mod plan;
pub(crate) mod tenant;
pub(crate) mod usage;

use clap::Args;
use common::time::{Clock as _, Micros, SystemClock};

use crate::{
    backend::{ApiBackend, Backend, StoreBackend},
    cli::{Cli, Command, Place},
    duration::Seconds,
    error::Failure,
    output::Output,
};

/// What people are told when a secret is shown.
const SECRET_NOTE: &str = "Keep the secret now: it is stored nowhere and will not be shown again.";

/// Until when a key is accepted.
#[derive(Debug, Args)]
struct ExpiryArgs {
    /// Instant from which on it is refused
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires: Option<Micros>,

    /// Span of time after which it is refused: seconds, or a number with s, m, h, d or w
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Seconds>,
}

impl ExpiryArgs {
    /// The instant that it comes to.
    fn at(&self, now: Micros) -> Option<Micros> {
        self.expires.or_else(|| self.expires_in.map(|span| now.plus_seconds(span.0.cast_signed())))
    }
}

/// What a command works with.
pub(crate) struct Context {
    pub(crate) backend: Box<dyn Backend>,
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
    let now = SystemClock.now();
    let backend: Box<dyn Backend> = match cli.global.place()? {
        Place::Store(url) => Box::new(StoreBackend::open(&url, now).await?),
        Place::Api(url, token) => Box::new(ApiBackend::new(&url, &token)?),
    };
    let context = Context { backend, now, output: cli.global.output() };
    let result = match cli.command {
        Command::Tenant(command) => command.run(&context).await,
        Command::Plan(command) => command.run(&context).await,
        Command::Key(command) => command.run(&context).await,
        Command::AdminKey(command) => command.run(&context).await,
        Command::Usage(command) => command.run(&context).await,
        Command::Credit(command) => command.run(&context).await,
        Command::Audit(command) => command.run(&context).await,
        Command::Completions(arguments) => arguments.run(),
    };
    context.backend.close().await;
    result
}
