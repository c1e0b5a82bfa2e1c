//! The command `gateway`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use gateway::server::Start;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP_AFTER: &str = "\
Examples:
  gateway --config config/gateway.yaml           serve until SIGTERM or SIGINT
  gateway --config config/gateway.yaml --check   validate the file: exit 0 if it is valid, else 1
  gateway --config config/gateway.yaml --upgrade take over from the running gateway without losing a request
  gateway routes import openapi.yaml             print a configuration with a route for each operation
  kill -HUP <pid>                                reload the file now (the gateway also notices changes by itself)

Environment:
  TOLLGATE_STORE    overrides `store`: sqlite://path/to/file.db or postgres://user@host/database
  TOLLGATE_PEPPER   overrides `pepper_file`: the secret under which keys are hashed
  TOLLGATE_KAFKA    sends usage to Kafka and overrides `usage.kafka.brokers`: host:port,host:port
  TOLLGATE_REDIS    shares limits and overrides `limits.redis.url`: redis://host:6379
  RUST_LOG          level of operational logs on standard error, `info` by default

Access lines go to standard output, everything else to standard error, both as JSON.";

/// API gateway that authenticates, limits, forwards and meters.
#[derive(Parser)]
#[command(
    name = "gateway",
    version = common::version(),
    after_help = HELP_AFTER,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
#[expect(clippy::struct_excessive_bools, reason = "each option of the command is a switch of its own")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = "config/gateway.yaml")]
    config: PathBuf,
    /// Validate the configuration file and exit
    #[arg(long, conflicts_with = "upgrade")]
    check: bool,
    /// Print the configuration as it counts, with defaults and the environment, and exit
    #[arg(long, conflicts_with_all = ["upgrade", "check"])]
    print_effective: bool,
    /// Print the JSON Schema of the configuration file and exit
    #[arg(long, conflicts_with_all = ["upgrade", "check", "print_effective"])]
    print_schema: bool,
    /// Take over the addresses of the running gateway, which then finishes its requests and ends
    #[arg(long)]
    upgrade: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Work on routes
    #[command(subcommand, disable_help_subcommand = true)]
    Routes(RoutesCommand),
}

#[derive(Subcommand)]
enum RoutesCommand {
    /// Print a configuration with a route for each operation of an OpenAPI document
    ///
    /// Parts of the document that the configuration leaves out, or says in other words, are told on
    /// standard error.
    Import {
        /// The document, as YAML or JSON: OpenAPI 3 or Swagger 2
        file: PathBuf,
        /// Name of the upstream that the routes go to; default: the document's title
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Routes(RoutesCommand::Import { file, upstream })) = arguments.command {
        return import(&file, upstream.as_deref());
    }
    common::files::keep_private();
    let outcome = if arguments.print_schema {
        // Whoever closed the pipe does not want to read it.
        let _ = writeln!(std::io::stdout().lock(), "{:#}", gateway::config::schema().to_value());
        Ok(())
    } else if arguments.print_effective {
        let overrides = gateway::config::Overrides::from_environment();
        gateway::config::effective(&arguments.config, &overrides)
            .map(|told| {
                let _ = write!(std::io::stdout().lock(), "{told}");
            })
            .map_err(Into::into)
    } else if arguments.check {
        gateway::server::check(&arguments.config).map(|checked| {
            // Whoever closed the pipe does not want to read it.
            for warning in checked.warnings {
                let _ = writeln!(std::io::stderr().lock(), "{warning}");
            }
            let _ = writeln!(std::io::stdout().lock(), "{}", checked.summary);
        })
    } else {
        let start = if arguments.upgrade { Start::Upgrade } else { Start::Fresh };
        gateway::server::run(&arguments.config, start)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn import(file: &Path, upstream: Option<&str>) -> ExitCode {
    match gateway::openapi::import(file, upstream) {
        Ok(imported) => {
            for note in imported.notes {
                let _ = writeln!(std::io::stderr().lock(), "{}: {note}", file.display());
            }
            match std::io::stdout().lock().write_all(imported.yaml.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                // Half a configuration is none.
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "gateway: {error}");
            ExitCode::FAILURE
        }
    }
}
