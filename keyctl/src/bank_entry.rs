//! `keyctl payment import`, `entries`, `assign` and `ignore`: payments that come by bank transfer.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use common::{
    api::bank::{BankEntryDocument, BankImportDocument},
    bank::{EntryStatus, EntryTarget, statement::table::TableProfile},
    config::{self, ConfigError, Document, Place},
    id::{BankEntryId, InvoiceId, TenantId},
};

use crate::{
    backend::StatementFile,
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View, or_dash},
};

pub(crate) const IMPORT_HELP: &str = "\
A statement in camt.053 (.xml), or a table (.csv). Each entry counts once, whatever files contain it. An entry that
names an invoice of the tenant is recorded as a payment; any other that brings money is left open for a person.
A profile is a YAML file that names the columns of a bank's table, and how it writes days and amounts.

Examples:
  keyctl payment import ten_01jd0000000000000000000000 statement.xml
  keyctl payment import ten_01jd0000000000000000000000 sales.csv --profile bank.yaml";

pub(crate) const ENTRIES_HELP: &str = "\
Examples:
  keyctl payment entries ten_01jd0000000000000000000000 --status open";

pub(crate) const ASSIGN_HELP: &str = "\
What is more than is open of the invoice goes into its buyer's wallet.

Examples:
  keyctl payment assign bke_01jd0000000000000000000009 --invoice inv_01jd0000000000000000000001
  keyctl payment assign bke_01jd0000000000000000000009 --wallet ten_01jd0000000000000000000001";

pub(crate) const IGNORE_HELP: &str = "\
Examples:
  keyctl payment ignore bke_01jd0000000000000000000009 --reason 'a transfer of our own'";

/// The arguments of `keyctl payment import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Id of the tenant whose account it is
    #[arg(value_name = "TENANT")]
    issuer: TenantId,

    /// File from the bank
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Form of the file [default: by its ending]
    #[arg(long, value_name = "FORM")]
    form: Option<StatementForm>,

    /// YAML file that says how a table is read
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

/// Form of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatementForm {
    Camt,
    Csv,
}

/// The arguments of `keyctl payment entries`.
#[derive(Debug, Args)]
pub(crate) struct EntriesArgs {
    /// Id of the tenant whose accounts they are of
    #[arg(value_name = "TENANT")]
    issuer: TenantId,

    /// Only entries that are open, recorded, assigned or ignored
    #[arg(long)]
    status: Option<EntryStatus>,
}

/// The arguments of `keyctl payment assign`.
#[derive(Debug, Args)]
pub(crate) struct AssignArgs {
    /// Id of the open entry
    #[arg(value_name = "ENTRY")]
    entry: BankEntryId,

    #[command(flatten)]
    target: TargetArgs,
}

/// The thing that an entry pays.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArgs {
    /// Invoice that it pays
    #[arg(long, value_name = "INVOICE")]
    invoice: Option<InvoiceId>,

    /// Tenant whose wallet it fills instead
    #[arg(long, value_name = "TENANT")]
    wallet: Option<TenantId>,
}

/// The arguments of `keyctl payment ignore`.
#[derive(Debug, Args)]
pub(crate) struct IgnoreArgs {
    /// Id of the open entry
    #[arg(value_name = "ENTRY")]
    entry: BankEntryId,

    /// Reason, which is kept
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl ImportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let is_csv = self.file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        let form = self.form.unwrap_or(if is_csv { StatementForm::Csv } else { StatementForm::Camt });
        if form == StatementForm::Camt && self.profile.is_some() {
            return Err(Failure::ProfileOfXml);
        }
        let profile = self.profile.map(|path| read_profile(&path)).transpose()?;
        let table = (form == StatementForm::Csv).then(|| profile.unwrap_or_default());
        let bytes = std::fs::read(&self.file)
            .map_err(|source| Failure::File { path: self.file.display().to_string(), source })?;
        context.output.show(&context.backend.import_statement(self.issuer, StatementFile { bytes, table }).await?)
    }
}

impl EntriesArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.output.show(&context.backend.bank_entries(self.issuer, self.status).await?)
    }
}

impl AssignArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let TargetArgs { invoice, wallet } = self.target;
        // The command line names one of them.
        let target = invoice.map(EntryTarget::Invoice).or(wallet.map(EntryTarget::Wallet));
        let Some(target) = target else { return Ok(()) };
        context.output.show(&context.backend.assign_entry(self.entry, target).await?)
    }
}

impl IgnoreArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.output.show(&context.backend.ignore_entry(self.entry, &self.reason).await?)
    }
}

fn read_profile(path: &std::path::Path) -> Result<TableProfile, Failure> {
    let text = config::read(path)?;
    let file = path.display().to_string();
    let mut document = Document::new(&text, &file);
    let read: Option<TableProfile> = document.read();
    document.refuse(Vec::new())?;
    Ok(read.ok_or_else(|| ConfigError::Fault(Place::START.fault("there is no profile")))?)
}

impl View for BankImportDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("recorded as payments", self.recorded.to_string()),
            ("left open", self.open.to_string()),
            ("of these, reversals", self.reversals.to_string()),
            ("known before", self.known.to_string()),
            ("not booked yet", self.pending.to_string()),
            ("taking money away", self.debits.to_string()),
        ])
    }
}

impl View for BankEntryDocument {
    fn table(&self) -> Rows {
        let mut rows = Rows::properties([
            ("id", self.id.to_string()),
            ("account", self.account.clone()),
            ("kind", self.kind.to_string()),
            ("amount", format!("{} {}", self.amount.amount, self.currency)),
            ("booked on", self.booked_on.clone()),
            ("payer", or_dash(self.payer.as_ref())),
            ("payer's account", or_dash(self.payer_account.as_ref())),
            ("reference", or_dash(self.creditor_reference.as_ref())),
            ("text", self.text.clone()),
            ("bank's reference", or_dash(self.bank_reference.as_ref())),
            ("status", self.status.to_string()),
            ("left open for", or_dash(self.open_reason)),
            ("reason", or_dash(self.reason.as_ref())),
        ]);
        for used in &self.uses {
            let place = used.invoice.map_or_else(|| format!("the wallet of {}", used.tenant), |id| id.to_string());
            rows.push("went to", format!("{} {} to {place}", used.amount.amount, self.currency));
        }
        rows
    }
}

impl ListRow for BankEntryDocument {
    const COLUMNS: &'static [&'static str] =
        &["ID", "BOOKED", "AMOUNT", "CURRENCY", "PAYER", "TEXT", "STATUS", "LEFT OPEN FOR"];

    const DROPPABLE: &'static [&'static str] = &["PAYER", "CURRENCY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.booked_on.clone(),
            self.amount.amount.clone(),
            self.currency.clone(),
            or_dash(self.payer.as_ref()),
            self.text.clone(),
            self.status.to_string(),
            or_dash(self.open_reason),
        ]
    }
}
