//! `keyctl ledger`: balances, statements and the trial balance.

use clap::{Args, Subcommand};
use common::{
    api::ledger::{BalanceDocument, EntryDocument},
    id::TenantId,
    ledger::Account,
    time::Micros,
};

use crate::{
    context::Context,
    error::Failure,
    export::{LEDGER_HELP, LedgerExportArgs},
    output::{ListRow, or_dash},
    words::word_of,
};

const HELP: &str = "\
An amount above zero is a debit, one below zero a credit: a tenant that owes 10.00 has a receivable of 10.00.

Examples:
  keyctl ledger balances ten_01jd0000000000000000000001
  keyctl ledger entries ten_01jd0000000000000000000001 --account receivable
  keyctl ledger trial-balance ten_01jd0000000000000000000000";

const BALANCES_HELP: &str = "\
Examples:
  keyctl ledger balances ten_01jd0000000000000000000001";

const ENTRIES_HELP: &str = "\
Examples:
  keyctl ledger entries ten_01jd0000000000000000000001
  keyctl ledger entries ten_01jd0000000000000000000001 --account receivable --output json";

const TRIAL_BALANCE_HELP: &str = "\
Every account over all tenants that buy from the issuer; each currency sums to zero.

Examples:
  keyctl ledger trial-balance ten_01jd0000000000000000000000
  keyctl ledger trial-balance ten_01jd0000000000000000000000 --until 2026-12-01T00:00:00Z";

/// The verbs of `keyctl ledger`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum LedgerCommand {
    /// Show the balances of a tenant's accounts
    #[command(after_help = BALANCES_HELP)]
    Balances(TenantArgs),
    /// List the entries of a tenant's accounts
    #[command(after_help = ENTRIES_HELP)]
    Entries(EntriesArgs),
    /// Write the books of an issuer as a file for another program
    #[command(after_help = LEDGER_HELP)]
    Export(LedgerExportArgs),
    /// Show the trial balance of an issuer
    #[command(after_help = TRIAL_BALANCE_HELP)]
    TrialBalance(TrialBalanceArgs),
}

/// Names one tenant.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
}

/// The arguments of `keyctl ledger entries`.
#[derive(Debug, Args)]
pub(crate) struct EntriesArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Only entries of this account, such as receivable or credit
    #[arg(long)]
    account: Option<Account>,
}

/// The arguments of `keyctl ledger trial-balance`.
#[derive(Debug, Args)]
pub(crate) struct TrialBalanceArgs {
    /// Id of the issuer
    #[arg(value_name = "TENANT")]
    issuer: TenantId,

    /// Only postings from before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<Micros>,
}

impl LedgerCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let backend = &context.backend;
        let balances = match self {
            Self::Balances(TenantArgs { tenant }) => backend.balances(tenant).await?,
            Self::Entries(EntriesArgs { tenant, account }) => {
                return context.output.show(&backend.ledger_entries(tenant, account).await?);
            }
            Self::Export(arguments) => return arguments.run(context).await,
            Self::TrialBalance(TrialBalanceArgs { issuer, until }) => backend.trial_balance(issuer, until).await?,
        };
        context.output.show(&balances)
    }
}

impl ListRow for BalanceDocument {
    const COLUMNS: &'static [&'static str] = &["ACCOUNT", "CURRENCY", "BALANCE"];

    fn cells(&self) -> Vec<String> {
        vec![self.account.to_string(), self.currency.clone(), self.balance.amount.clone()]
    }
}

impl ListRow for EntryDocument {
    const COLUMNS: &'static [&'static str] = &["SEQ", "AT", "CAUSE", "ID", "ACCOUNT", "CURRENCY", "AMOUNT"];

    const DROPPABLE: &'static [&'static str] = &["ID"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.seq.to_string(),
            self.at.to_string(),
            word_of(&self.cause),
            or_dash(Some(&self.cause_id)),
            self.account.to_string(),
            self.currency.clone(),
            self.amount.amount.clone(),
        ]
    }
}
