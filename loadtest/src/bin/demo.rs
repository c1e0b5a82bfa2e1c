//! `make run`: the embedded form with a demo upstream, live traffic and a live bill.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use loadtest::demo::{self, DemoError, Options};

/// Starts gateway, billing and a demo API on SQLite, sends a little traffic and shows the bill
/// until Ctrl-C.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    after_help = "Examples:\n  make run\n  make run ONCE=1\n  make run ARGS=\"--gateway-port 8088\""
)]
struct Arguments {
    /// Send some traffic, print one JSON line that holds the bill against what the client counted,
    /// and stop.
    #[arg(long)]
    once: bool,
    /// Port of the gateway.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    gateway_port: u16,
    /// Port of the gateway's health and metrics.
    #[arg(long, default_value_t = 9901, value_name = "PORT")]
    admin_port: u16,
    /// Port of billing.
    #[arg(long, default_value_t = 8090, value_name = "PORT")]
    billing_port: u16,
    /// Port of the demo upstream.
    #[arg(long, default_value_t = 9000, value_name = "PORT")]
    upstream_port: u16,
    /// Directory of store, journal, configuration and logs; emptied at each start.
    #[arg(long, default_value = "data/demo", value_name = "DIRECTORY")]
    directory: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    common::files::keep_private();
    // A second provider would be one installed already: either serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options {
        directory: arguments.directory,
        gateway_port: arguments.gateway_port,
        admin_port: arguments.admin_port,
        billing_port: arguments.billing_port,
        upstream_port: arguments.upstream_port,
        once: arguments.once,
    };
    match demo::run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(DemoError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
