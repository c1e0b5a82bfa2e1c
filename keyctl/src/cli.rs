//! The command line: the options of every command, and the commands by noun.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use common::{
    config,
    tls::{CertificateFiles, ClientTls},
};

use crate::{
    admin_key::AdminKeyCommand,
    audit_log::AuditLogCommand,
    backend::api::{Token, error::ApiError},
    catalog::{self, ApplyArgs, FileArgs},
    completions::CompletionsArgs,
    coupon::CouponCommand,
    credit::CreditCommand,
    duration::Seconds,
    error::Failure,
    invoice::InvoiceCommand,
    key::KeyCommand,
    ledger::LedgerCommand,
    mail::MailCommand,
    outbox::OutboxCommand,
    output::{Format, Output},
    payment::PaymentCommand,
    plan::PlanCommand,
    tenant::TenantCommand,
    terminal::Asking,
    usage::UsageCommand,
    wallet::WalletCommand,
    webhook::WebhookCommand,
};

/// The store that `config/` names for the gateway and billing.
const DEFAULT_STORE: &str = "sqlite://data/tollgate.db";

const STORE_HELP: &str = "Store to work on, sqlite://PATH or postgres://USER@HOST/DATABASE [env: TOLLGATE_STORE] \
    [default: sqlite://data/tollgate.db]";

const API_HELP: &str =
    "Admin API to work through instead of a store, as in https://billing.example.com [env: TOLLGATE_API]";

const TOKEN_HELP: &str = "Admin key, or token of the identity provider, for --api; a command line can be read by \
    others on this machine, the environment cannot [env: TOLLGATE_API_TOKEN]";

const CA_HELP: &str = "PEM file with the authorities that vouch for --api, instead of those of the system [env: \
    TOLLGATE_API_CA_FILE]";

const CLIENT_CERT_HELP: &str =
    "PEM file with the certificate to show to --api, and those of its issuers [env: TOLLGATE_API_CLIENT_CERT]";

const CLIENT_KEY_HELP: &str = "PEM file with the key of that certificate [env: TOLLGATE_API_CLIENT_KEY]";

const HELP: &str = "\
Examples:
  keyctl plan apply config/plans.yaml
  keyctl tenant create --name 'Example API'
  keyctl tenant create --name Acme --parent ten_01jd0000000000000000000000 --plan growth
  keyctl key create --tenant ten_01jd0000000000000000000001 --name production
  keyctl usage show --period 2026-11 --by key
  keyctl --api https://billing.example.com tenant list
  keyctl --api https://billing.internal:8090 --ca-file internal-ca.pem tenant list

Exit codes:
  0  done (also when nothing had to change)
  1  failed: store, API or file unreachable, schema of another version
  2  wrong usage: unknown option, malformed id, missing pepper or token; of `diff`: something differs
  3  not found: no such tenant, plan or key
  4  refused: by a rule (an expiry that has passed, an invalid plan file, a token without the role), or not \
confirmed

On a terminal, commands that take something away ask first: revoke, suspend, delete, move, end. In a script they \
do not ask; only `plan apply` of a file that drops limits needs --yes there.

Errors go to standard error; with --output json as {\"error\":{\"code\":\"not_found\",\"message\":\"..\"}}
(wrong usage is always plain text).
Times are RFC 3339 in UTC; a terminal shows lists as wide as it is, and times to the minute.";

/// Manages the tenants, plans and keys of Tollgate, and shows their usage and who changed what.
#[derive(Debug, Parser)]
#[command(name = "keyctl", version = common::version(), max_term_width = 100, arg_required_else_help = true, after_help = HELP)]
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

    #[arg(long, global = true, value_name = "URL", help_heading = "Global options", help = API_HELP)]
    #[arg(conflicts_with = "store")]
    api: Option<String>,

    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Global options", help = TOKEN_HELP)]
    token: Option<Token>,

    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options", help = CA_HELP)]
    #[arg(conflicts_with = "store")]
    ca_file: Option<PathBuf>,

    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options", help = CLIENT_CERT_HELP)]
    #[arg(conflicts_with = "store")]
    client_cert: Option<PathBuf>,

    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options", help = CLIENT_KEY_HELP)]
    #[arg(conflicts_with = "store")]
    client_key: Option<PathBuf>,

    /// Form of the answer and of errors
    #[arg(long, global = true, value_name = "FORM", default_value = "table", help_heading = "Global options")]
    output: Format,

    /// Do not ask for confirmation
    #[arg(long, short, global = true, help_heading = "Global options")]
    yes: bool,

    /// Longest time that the store or the API may take to answer: seconds, or a number with s or m
    #[arg(long, global = true, value_name = "SPAN", default_value = "60s", help_heading = "Global options")]
    #[arg(value_parser = timeout)]
    timeout: Seconds,
}

/// Parses a timeout, which is at least one second.
fn timeout(text: &str) -> Result<Seconds, String> {
    match text.parse() {
        Ok(Seconds(0)) => Err("at least 1s".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

/// The place where commands do their work.
#[derive(Debug)]
pub(crate) enum Place {
    /// The store with this URL.
    Store(String),
    /// The API with this URL.
    Api(String, Token, ClientTls),
}

/// The commands, by noun.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create, list, show, change, move, suspend and delete tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Apply, list and show plans, and give them to tenants
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Make and list coupons, and redeem them for tenants
    #[command(subcommand)]
    Coupon(CouponCommand),
    /// Create, list, show, change, rotate and revoke API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Create, list, rotate and revoke the keys by which machines use the admin API
    #[command(subcommand)]
    AdminKey(AdminKeyCommand),
    /// Show, record and correct usage
    #[command(subcommand)]
    Usage(UsageCommand),
    /// Add to and show prepaid credit
    #[command(subcommand)]
    Credit(CreditCommand),
    /// Grant, show and take back money paid in advance
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// List, show, issue, correct and void invoices
    #[command(subcommand)]
    Invoice(InvoiceCommand),
    /// Record payments of invoices, and refunds
    #[command(subcommand)]
    Payment(PaymentCommand),
    /// Show balances and statements
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Make, list and change endpoints that hear of events
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Show and set who of a tenant gets which mail
    #[command(subcommand)]
    Mail(MailCommand),
    /// List messages that leave the system, and send them again
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Show who changed what
    #[command(subcommand, alias = "audit")]
    AuditLog(AuditLogCommand),
    /// Print tenants, plans, subscriptions, admin keys and webhooks as a catalog file
    #[command(after_help = catalog::EXPORT_HELP)]
    Export,
    /// Show what applying a catalog file would change
    #[command(after_help = catalog::DIFF_HELP)]
    Diff(FileArgs),
    /// Make tenants, plans, subscriptions, admin keys and webhooks what a catalog file says
    #[command(after_help = catalog::APPLY_HELP)]
    Apply(ApplyArgs),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
}

impl GlobalArgs {
    /// Form and destination of answers.
    pub(crate) const fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// Tells whether commands ask for confirmation.
    pub(crate) fn asking(&self) -> Asking {
        Asking::new(self.yes)
    }

    /// Longest wait for an answer.
    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.0)
    }

    /// The place of work: by the options, else by the environment, else the default store. The
    /// variable of the API is for this program alone, so it counts before that of the store.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        if let Some(url) = &self.store {
            return Ok(Place::Store(url.clone()));
        }
        if let Some(url) = self.api.clone().or_else(|| config::environment("TOLLGATE_API")) {
            let of_environment = || config::environment("TOLLGATE_API_TOKEN").and_then(|text| text.parse().ok());
            let token = self.token.clone().or_else(of_environment).ok_or(ApiError::TokenMissing)?;
            return Ok(Place::Api(url, token, self.tls()?));
        }
        Ok(Place::Store(config::environment("TOLLGATE_STORE").unwrap_or_else(|| DEFAULT_STORE.to_owned())))
    }
}

impl GlobalArgs {
    /// TLS with the API. A variable of the environment stands in for each option that is not given.
    fn tls(&self) -> Result<ClientTls, ApiError> {
        let file =
            |option: &Option<PathBuf>, variable| option.clone().or_else(|| Some(config::environment(variable)?.into()));
        let certificate = file(&self.client_cert, "TOLLGATE_API_CLIENT_CERT");
        let key = file(&self.client_key, "TOLLGATE_API_CLIENT_KEY");
        let identity = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key, ocsp: None, order: None }),
            _ => return Err(ApiError::HalfIdentity),
        };
        Ok(ClientTls { ca_file: file(&self.ca_file, "TOLLGATE_API_CA_FILE"), identity })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_definition_is_consistent() {
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

    /// The words of one command as a shell would pass them. Quotes group words; a pipe or
    /// redirection ends the command.
    fn words(line: &str) -> Vec<String> {
        let command = [" | ", " > ", " < "].iter().fold(line, |line, end| line.split(end).next().unwrap_or_default());
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
