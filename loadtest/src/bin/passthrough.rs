//! The binary `passthrough`: a bare Pingora reverse proxy, for `loadtest` to compare with.

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A bare Pingora reverse proxy: forwards everything to one server.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// The server to forward to.
    #[arg(long, default_value = "127.0.0.1:9000")]
    upstream: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = loadtest::processes::ensure_free(arguments.listen, "--listen") {
        return loadtest::cli::fail(&error);
    }
    loadtest::passthrough::server(arguments.listen, arguments.upstream, arguments.threads.into()).run_forever()
}
