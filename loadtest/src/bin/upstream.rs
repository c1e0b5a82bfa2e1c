//! The binary `upstream`: the demo upstream as a process of its own.

use std::{io, net::SocketAddr, process::ExitCode};

use clap::Parser;
use loadtest::{processes, upstream};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The demo upstream: answers 200 with 128 bytes, /status/{code}, /units/{n}, /slow/{ms}, /echo;
/// counts at /_accepted.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let served = runtime(arguments.threads).map_err(Into::into).and_then(|runtime| runtime.block_on(serve(&arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => loadtest::cli::fail(error.as_ref()),
    }
}

fn runtime(threads: u16) -> io::Result<Runtime> {
    if threads == 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread().worker_threads(threads.into()).enable_all().build()
}

async fn serve(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    processes::ensure_free(arguments.listen, "--listen")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let upstream = upstream::spawn(arguments.listen).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    upstream.stop().await;
    Ok(())
}
