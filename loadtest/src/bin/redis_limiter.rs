//! The binary `redis_limiter`: a limiter that asks Redis about every request, for `loadtest
//! --checks` to compare with.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use loadtest::{
    cli,
    compare::redis_limiter::{self, LimiterError, Settings},
};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A limiter that asks Redis about every request: POST /check with X-Api-Key; counts at /metrics.
#[derive(Parser)]
struct Arguments {
    /// Its settings, in JSON: listen, redis, limits, callers.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// One thread, as the gateway has in the comparison.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}

async fn run(arguments: &Arguments) -> Result<(), LimiterError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let settings = Settings::read(&arguments.config)?;
    tokio::select! {
        served = redis_limiter::serve(&settings) => served,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminate.recv() => Ok(()),
    }
}
