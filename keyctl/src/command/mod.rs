//! The commands, one file per group, and what they share: where they work, the time and the output.

pub(crate) mod admin_key;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod credit;
pub(crate) mod key;
pub(crate) mod plan;
pub(crate) mod tenant;
pub(crate) mod usage;

use std::time::Duration;

use clap::Args;
use common::time::{Clock as _, Micros, SystemClock};

use crate::{
    backend::{ApiBackend, Backend, StoreBackend},
    cli::{Cli, Command, Place},
    duration::Seconds,
    error::Failure,
    output::{Output, View},
    patience::Patience,
    pepper::PepperArgs,
    terminal::Asking,
};

/// Longest that letting go of the store may take.
const CLOSE_TIME_LIMIT: Duration = Duration::from_secs(1);

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

/// How a key is replaced, and how long the old one lives on.
#[derive(Debug, Args)]
struct GraceArgs {
    /// How long the old key lives on, 0 to 24h: seconds, or a number with s, m or h
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    grace: Seconds,

    #[command(flatten)]
    pepper: PepperArgs,
}

impl GraceArgs {
    /// The grace as it is asked for; one that is too long is refused by what it is asked of.
    fn seconds(&self) -> u32 {
        u32::try_from(self.grace.0).unwrap_or(u32::MAX)
    }
}

/// What a command works with.
pub(crate) struct Context {
    pub(crate) backend: Box<dyn Backend>,
    /// One instant for the whole command, so that all it says fits together.
    pub(crate) now: Micros,
    pub(crate) output: Output,
    pub(crate) asking: Asking,
    patience: Option<Patience>,
}

impl Context {
    /// Lets a person at a terminal confirm what `question` tells; the question is put together only if there is one.
    /// The time that people take is not the store's.
    async fn confirm(&self, question: impl AsyncFnOnce() -> Result<String, Failure>) -> Result<(), Failure> {
        if self.asking.is_person() {
            self.asking.confirm(&question().await?)?;
            self.heard();
        }
        Ok(())
    }

    /// Shows a new key with its secret, and tells people to keep that.
    fn show_secret(&self, created: &impl View) -> Result<(), Failure> {
        self.output.show(created)?;
        self.output.note(SECRET_NOTE);
        Ok(())
    }

    /// Starts the wait for the store anew.
    fn heard(&self) {
        if let Some(patience) = &self.patience {
            patience.heard();
        }
    }
}

/// Does what was asked.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    // Completions are wanted where no store exists.
    if let Command::Completions(arguments) = cli.command {
        return arguments.run();
    }
    let timeout = cli.global.timeout();
    match cli.global.place()? {
        Place::Api(url, token) => {
            // Each of its requests has this time by itself.
            let backend = ApiBackend::new(&url, &token, timeout)?;
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
        Command::Key(command) => command.run(&context).await,
        Command::AdminKey(command) => command.run(&context).await,
        Command::Usage(command) => command.run(&context).await,
        Command::Credit(command) => command.run(&context).await,
        Command::Audit(command) => command.run(&context).await,
        Command::Completions(arguments) => arguments.run(),
    };
    // What was done is done, whether or not the store says goodbye.
    let _ = tokio::time::timeout(CLOSE_TIME_LIMIT, context.backend.close()).await;
    result
}
