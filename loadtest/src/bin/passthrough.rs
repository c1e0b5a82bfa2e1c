//! The binary `passthrough`: a bare Pingora reverse proxy, for `loadtest` to compare with.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use loadtest::passthrough::{self, Identity};

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
    /// File with the certificate to speak TLS with; plain without it.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// File with its private key.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = loadtest::processes::ensure_free(arguments.listen, "--listen") {
        return loadtest::cli::fail(&error);
    }
    let Arguments { listen, upstream, threads, certificate, key } = arguments;
    let identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
    match passthrough::server(listen, upstream, threads.into(), identity.as_ref()) {
        Ok(server) => server.run_forever(),
        Err(error) => loadtest::cli::fail(&*error),
    }
}
