//! `keyctl ledger export`, `invoice export` and `usage export`: files for other programs.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use common::{
    export::{AccountMap, DatevProfile, ExportKind, ExportQuery, InvoiceSide},
    id::TenantId,
    money::Currency,
    time::{Date, Micros, Window, Zone},
};

use crate::{context::Context, error::Failure};

pub(crate) const LEDGER_HELP: &str = "\
Every posting of the issuer's books: a table, transactions for beancount, or a batch for DATEV, which takes the
consultant's and the client's number, one currency and one fiscal year. Without --out, it goes to standard output.

Examples:
  keyctl ledger export ten_01jd0000000000000000000000 --out ledger.csv
  keyctl ledger export ten_01jd0000000000000000000000 --form beancount > books.beancount";

pub(crate) const INVOICES_HELP: &str = "\
Examples:
  keyctl invoice export ten_01jd0000000000000000000000 --lines --out lines.csv
  keyctl invoice export ten_01jd0000000000000000000001 --owed --from 2026-11-01T00:00:00Z";

pub(crate) const COSTS_HELP: &str = "\
What invoices and credit notes charge the tenant, as a table by FOCUS 1.2.

Examples:
  keyctl usage export ten_01jd0000000000000000000001 --format focus --out focus.csv
  keyctl usage export ten_01jd0000000000000000000000 --subtree > focus.csv";

/// Form of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LedgerForm {
    Csv,
    Beancount,
    Datev,
}

/// Form of costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CostForm {
    Focus,
}

/// The time and the file of an export.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Only what is from this instant on, as in 2026-11-01T00:00:00Z
    #[arg(long, value_name = "INSTANT")]
    from: Option<Micros>,

    /// Only what is from before this instant [default: now]
    #[arg(long, value_name = "INSTANT")]
    to: Option<Micros>,

    /// File to write
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The arguments of `keyctl ledger export`.
#[derive(Debug, Args)]
pub(crate) struct LedgerExportArgs {
    /// Id of the issuer
    #[arg(value_name = "TENANT")]
    issuer: TenantId,

    /// Form of the file
    #[arg(long, value_name = "FORM", default_value = "csv")]
    form: LedgerForm,

    #[command(flatten)]
    file: FileArgs,

    /// Names of accounts in the other books, as in receivable=1400,cash=1200
    #[arg(long, value_name = "MAP")]
    accounts: Option<AccountMap>,

    /// For DATEV: currency of the batch
    #[arg(long, value_name = "CODE", default_value = "EUR", value_parser = currency)]
    currency: Currency,

    /// For DATEV: number of the tax consultant
    #[arg(long, value_name = "NUMBER", required_if_eq("form", "datev"))]
    consultant: Option<u32>,

    /// For DATEV: number of the client
    #[arg(long, value_name = "NUMBER", required_if_eq("form", "datev"))]
    client: Option<u32>,

    /// For DATEV: first day of the fiscal year [default: that of the calendar year of --from]
    #[arg(long, value_name = "DATE")]
    fiscal_year: Option<Date>,
}

/// The arguments of `keyctl invoice export`.
#[derive(Debug, Args)]
pub(crate) struct InvoiceExportArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Invoices that the tenant owes, instead of those that it has issued
    #[arg(long)]
    owed: bool,

    /// A row for each line and each tax
    #[arg(long)]
    lines: bool,

    #[command(flatten)]
    file: FileArgs,
}

/// The arguments of `keyctl usage export`.
#[derive(Debug, Args)]
pub(crate) struct CostExportArgs {
    /// Id of the tenant that is charged
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Form of the file
    #[arg(long, value_name = "FORM", default_value = "focus")]
    format: CostForm,

    /// With every tenant below
    #[arg(long)]
    subtree: bool,

    #[command(flatten)]
    file: FileArgs,
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::from_code(text).ok_or_else(|| format!("`{text}` is not a currency"))
}

impl LedgerExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let accounts = self.accounts.clone().unwrap_or_default();
        let window = self.file.window(context.now)?;
        let kind = match self.form {
            LedgerForm::Csv => ExportKind::Ledger,
            LedgerForm::Beancount => ExportKind::Beancount(accounts),
            LedgerForm::Datev => ExportKind::Datev(Box::new(self.datev(accounts, context.now)?)),
        };
        write(context, ExportQuery { tenant: self.issuer, window, kind }, self.file.out).await
    }

    fn datev(&self, accounts: AccountMap, now: Micros) -> Result<DatevProfile, Failure> {
        let begin = self.file.from.ok_or(Failure::FiscalYear)?;
        // Whoever is ahead of UTC is so by less than a day.
        let of_calendar = || Date::new(Zone::utc().date(begin.plus_seconds(86_399)).ok()?.year, 1, 1);
        let year = self.fiscal_year.or_else(of_calendar).ok_or(Failure::FiscalYear)?;
        let numbers = (self.consultant.unwrap_or_default(), self.client.unwrap_or_default());
        Ok(DatevProfile::new(numbers, year, self.currency, accounts, now)?)
    }
}

impl InvoiceExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let side = if self.owed { InvoiceSide::Owed } else { InvoiceSide::Issued };
        let kind = if self.lines { ExportKind::InvoiceLines(side) } else { ExportKind::Invoices(side) };
        let window = self.file.window(context.now)?;
        write(context, ExportQuery { tenant: self.tenant, window, kind }, self.file.out).await
    }
}

impl CostExportArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let CostForm::Focus = self.format;
        let kind = ExportKind::Focus { subtree: self.subtree };
        let window = self.file.window(context.now)?;
        write(context, ExportQuery { tenant: self.tenant, window, kind }, self.file.out).await
    }
}

impl FileArgs {
    fn window(&self, now: Micros) -> Result<Window, Failure> {
        // What is written at this very instant is in it.
        let end = self.to.unwrap_or(Micros(now.0.saturating_add(1)));
        let window = Window { start: self.from.unwrap_or(Micros(0)), end };
        if window.start < window.end { Ok(window) } else { Err(Failure::EmptyWindow) }
    }
}

async fn write(context: &Context, query: ExportQuery, out: Option<PathBuf>) -> Result<(), Failure> {
    let mut sink: Box<dyn Write + Send> = match &out {
        Some(file) => Box::new(io::BufWriter::new(File::create(file)?)),
        None => Box::new(io::stdout()),
    };
    context.backend.export(query, sink.as_mut()).await?;
    Ok(sink.flush()?)
}
