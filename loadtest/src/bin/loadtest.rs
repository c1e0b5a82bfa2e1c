//! The binary `loadtest`: compares the gateway with nginx, a bare Pingora and no proxy, its TLS and
//! HTTP/2 with those of HAProxy and Envoy as well, or its decisions with a limiter that asks Redis
//! about each.

use std::{
    fmt::Display,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};
use loadtest::{
    cli,
    compare::{self, CompareError, Options, edge},
};
use serde::Serialize;
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

With --edge, it compares TLS 1.3 handshakes, full and resumed by ticket, and requests over HTTP/2 with TLS (8 at once on \
each connection), of bare Pingora, nginx, HAProxy, Envoy and the gateway with everything on. All have the same \
certificate and are offered one cipher suite and one group; 16 clients shake hands at once. There is no open loop.

Method: every contestant is held to one core (taskset), with client, upstream, billing and Redis on the others. A round \
measures every row in turn: one second of warm-up, a closed loop (each connection sends as fast as it is answered) for \
requests/s, CPU, memory and p99 when busy, and an open loop (fixed rate, latency from the moment a request was due) for \
p50 and p99. CPU is the user and system time of the contestant's process from /proc/<pid>/stat; for the gateway it runs \
until all usage of the loop is booked. Redis's CPU is a column of its own. Shown are medians over the rounds; ratios are \
taken within each round. In the end the usage in the store must equal what the client received, key by key.

Limits: client, contestants and upstream share one machine, so absolute numbers hold for this machine at this time only; \
ratios drift by 5 to 10 % as well. Where the contestant's core is not fully busy, something else set the pace and its \
requests/s are a floor. On two cores the client, the upstream, billing and Redis share one, which adds to every latency; \
billing's own CPU is in no row. Loopback: no network, no large bodies, and plain HTTP/1.1 without --edge; answers of the upstream \
have 128 bytes. Requests rotate through 100 keys of 10 tenants, with --checks through 1,000 keys of 100.

The report is also written as JSON to target/loadtest/report.json (checks.json, edge.json), beside the directory of this \
program.

Exit code: 0 if every request was answered with 200 and may pass, and the usage adds up, else 1.";

/// Compares the gateway with nginx, a bare Pingora and no proxy, its TLS and HTTP/2 with other
/// edges, or its decisions with a Redis limiter, in one interleaved run.
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

/// A finished comparison.
struct Finished {
    ok: bool,
    table: String,
    json: String,
}

/// The client runs on one thread: what it costs is what the proxies cannot have.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = tokio::select! {
        report = compared(&arguments.options) => report,
        interrupted = interrupted() => match interrupted {
            // Dropping the comparison has ended every process that it started.
            Ok(()) => return ExitCode::FAILURE,
            Err(error) => return cli::fail(&error),
        },
    };
    match report {
        Err(error) => cli::fail(&error),
        Ok(report) => match save(&arguments.options, &report).and_then(|()| print(&report, arguments.output)) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => cli::fail(&error),
            _ if report.ok => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
    }
}

async fn compared(options: &Options) -> Result<Finished, CompareError> {
    if options.edge {
        let report = edge::run(options, progress).await?;
        return finished(report.ok, &report);
    }
    let report = compare::run(options, progress).await?;
    finished(report.ok, &report)
}

fn finished(ok: bool, report: &(impl Display + Serialize)) -> Result<Finished, CompareError> {
    let failed =
        |error: serde_json::Error| CompareError::System { what: "cannot write JSON".into(), source: error.into() };
    Ok(Finished { ok, table: report.to_string(), json: serde_json::to_string_pretty(report).map_err(failed)? + "\n" })
}

/// Leaves the report for scripts.
fn save(options: &Options, report: &Finished) -> io::Result<()> {
    let name = match (options.edge, options.checks) {
        (true, _) => "edge.json",
        (_, true) => "checks.json",
        _ => "report.json",
    };
    let program = std::env::current_exe()?;
    // As in target/dist/loadtest.
    let target = program.parent().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_path_buf);
    let directory = target.join("loadtest");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), &report.json)
}

fn progress(step: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "loadtest: {step}");
}

fn print(report: &Finished, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = match output {
        Output::Table => &report.table,
        Output::Json => &report.json,
    };
    out.write_all(text.as_bytes())?;
    out.flush()
}

async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
