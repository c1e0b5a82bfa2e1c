//! What can be typed: the options that every command takes, and the command groups.

use clap::{Args, Parser, Subcommand};
use common::config;

use crate::{
    command::{
        completions::CompletionsArgs, credit::CreditCommand, key::KeyCommand, plan::PlanCommand, tenant::TenantCommand,
        usage::UsageCommand,
    },
    output::{Format, Output},
};

/// The same file that `config/` names for the gateway and billing.
const DEFAULT_STORE: &str = "sqlite://data/tollgate.db";

const STORE_HELP: &str = "Store to work on, sqlite://PATH or postgres://USER@HOST/DATABASE [env: TOLLGATE_STORE] \
    [default: sqlite://data/tollgate.db]";

const HELP: &str = "\
Examples:
  keyctl plan apply config/plans.yaml
  keyctl tenant create --name 'Example API'
  keyctl tenant create --name Acme --parent ten_01jd0000000000000000000000 --plan growth
  keyctl key create --tenant ten_01jd0000000000000000000001 --name production
  keyctl usage show --period 2026-11 --by key

Exit codes:
  0  done (also when nothing had to change)
  1  failed: store or file unreachable, schema of another version
  2  wrong usage: unknown option, malformed id, missing pepper
  3  not found: no such tenant, plan or key
  4  refused: a rule says no, such as an expiry that has passed or an invalid plan file

Errors go to standard error; with --output json as {\"error\":{\"code\":\"not_found\",\"message\":\"..\"}}
(wrong usage is always plain text).
Times are RFC 3339 in UTC.";

/// Manages the tenants, plans and API keys of Tollgate, and shows their usage.
#[derive(Debug, Parser)]
#[command(name = "keyctl", version, max_term_width = 100, arg_required_else_help = true, after_help = HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    // Not clap's `env`: it would print the variable's value, password and all, in every help text.
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options", help = STORE_HELP)]
    store: Option<String>,

    /// Form of the answer and of errors
    #[arg(long, global = true, value_name = "FORM", default_value = "table", help_heading = "Global options")]
    output: Format,
}

/// The command groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create, list, show, suspend and resume tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Apply, list and show plans
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Create, list, show, rotate and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show what was used
    #[command(subcommand)]
    Usage(UsageCommand),
    /// Add to and show credit that was paid for in advance
    #[command(subcommand)]
    Credit(CreditCommand),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
}

impl GlobalArgs {
    /// Where answers go.
    pub(crate) const fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// URL of the store: the option, else the environment, else the default.
    pub(crate) fn store_url(&self) -> String {
        self.store.clone().or_else(|| config::environment("TOLLGATE_STORE")).unwrap_or_else(|| DEFAULT_STORE.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_every_example_can_be_typed() {
        check_examples(&Cli::command());
    }

    fn check_examples(command: &clap::Command) {
        for subcommand in command.get_subcommands() {
            check_examples(subcommand);
        }
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples"));
        let typed: Vec<_> = examples.lines().filter_map(|line| line.find("keyctl ").map(|at| &line[at..])).collect();
        assert!(!typed.is_empty(), "{command} has no examples");
        for line in typed {
            assert!(line.len() <= 98, "`{line}` is wider than a help page");
            if let Err(error) = Cli::try_parse_from(words(line)) {
                panic!("`{line}` is refused: {error}");
            }
        }
    }

    /// The words of one command as a shell would pass them: quotes hold words together, a pipe or redirection ends it.
    fn words(line: &str) -> Vec<String> {
        let command = line.split(" | ").next().and_then(|line| line.split(" > ").next()).unwrap_or_default();
        let mut words = Vec::new();
        for (index, part) in command.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(ToOwned::to_owned));
            }
        }
        words
    }
}
