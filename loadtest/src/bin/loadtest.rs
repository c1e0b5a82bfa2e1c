//! The binary `loadtest`: compares the gateway with nginx, a bare Pingora and no proxy, or its
//! decisions with a limiter that asks Redis about each.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use loadtest::{
    cli,
    compare::{self, Report},
};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const METHOD: &str = "\
Compares, in one interleaved run: the upstream alone, a bare Pingora pass-through, nginx as reverse proxy, and the \
gateway with everything on (real `gateway` and `billing` binaries, which stand beside this one).

With --checks, it compares those who only say whether a request may pass: the gateway's POST /check with limits of its \
own (mode consume, with usage recorded and billed, and mode peek), the same with limits shared through Redis, and a \
limiter that asks Redis about every request. All take the same request, a key in X-Api-Key without a body (peek: with \
its mode in the body), and decide the same four limits, which never refuse.

Method: every contestant is held to one core (taskset), with client, upstream, billing and Redis on the others. A round \
measures every row in turn: one second of warm-up, a closed loop (each connection sends as fast as it is answered) for \
requests/s, CPU, memory and p99 when busy, and an open loop (fixed rate, latency from the moment a request was due) for \
p50 and p99. CPU is the user and system time of the contestant's process from /proc/<pid>/stat; for the gateway it runs \
until all usage of the loop is booked. Redis's CPU is a column of its own. Shown are medians over the rounds; ratios are \
taken within each round. In the end the usage in the store must equal what the client received, key by key.

Limits: client, contestants and upstream share one machine, so absolute numbers hold for this machine at this time only; \
ratios drift by 5 to 10 % as well. Where the contestant's core is not fully busy, something else set the pace and its \
requests/s are a floor. On two cores the client, the upstream, billing and Redis share one, which adds to every latency; \
billing's own CPU is in no row. Plain HTTP/1.1 on loopback: no TLS, no network, no large bodies; answers of the upstream \
have 128 bytes. Requests rotate through 100 keys of 10 tenants, with --checks through 1,000 keys of 100.

Exit code: 0 if every request was answered with 200 and may pass, and the usage adds up, else 1.";

/// Compares the gateway with nginx, a bare Pingora and no proxy, or its decisions with a Redis
/// limiter, in one interleaved run.
#[derive(Parser)]
#[command(long_about = METHOD)]
struct Arguments {
    #[command(flatten)]
    options: compare::Options,
    /// Format of the result.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// The client runs on one thread: what it costs is what the proxies cannot have.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = tokio::select! {
        report = compare::run(&arguments.options, progress) => report,
        interrupted = interrupted() => match interrupted {
            // Dropping the comparison has ended every process that it started.
            Ok(()) => return ExitCode::FAILURE,
            Err(error) => return cli::fail(&error),
        },
    };
    match report {
        Err(error) => cli::fail(&error),
        Ok(report) => match print(&report, arguments.output) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => cli::fail(&error),
            _ if report.ok => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
    }
}

fn progress(step: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "loadtest: {step}");
}

fn print(report: &Report, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Table => write!(out, "{report}")?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, report)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
