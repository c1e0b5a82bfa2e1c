//! `keyctl invoice`: finalized invoices, and what ends or corrects them.

mod document;
mod table;

use clap::{Args, Subcommand};
use common::{
    api::invoice::{CreditedLineBody, NewCreditNoteBody, NewInvoiceBody, NewLineBody},
    id::{InvoiceId, TenantId},
    invoice::{InvoiceFilter, InvoiceStatus},
    money::Currency,
};

use crate::{
    context::Context,
    error::Failure,
    export::{INVOICES_HELP, InvoiceExportArgs},
    words::one_of,
};

const HELP: &str = "\
`billing run` issues the invoices of a month. A finalized invoice never changes: a credit note corrects it.

Examples:
  keyctl invoice list --tenant ten_01jd0000000000000000000001
  keyctl invoice show inv_01jd0000000000000000000001
  keyctl invoice credit inv_01jd0000000000000000000001 --reason 'outage of 3 November'";

const LIST_HELP: &str = "\
OPEN is neither paid nor credited; below zero, the issuer owes it.

Examples:
  keyctl invoice list
  keyctl invoice list --status finalized --output json | jq -r '.[].number'";

const SHOW_HELP: &str = "\
Examples:
  keyctl invoice show inv_01jd0000000000000000000001
  keyctl invoice show inv_01jd0000000000000000000001 --output json | jq .taxes";

const ISSUE_HELP: &str = "\
The invoice is finalized at once. Tax is added by the tenant's billing details. A line is a text and an amount; an \
amount below zero is a deduction.

Examples:
  keyctl invoice issue --tenant ten_01jd0000000000000000000001 --currency USD --line 'Setup=500.00'";

const VOID_HELP: &str = "\
A void invoice counts as never issued: the next `billing run` of its period issues it anew. Its number stays. An \
invoice of which something is paid or credited is corrected by a credit note instead.

Examples:
  keyctl invoice void inv_01jd0000000000000000000001 --reason 'wrong plan'";

const WRITE_OFF_HELP: &str = "\
Examples:
  keyctl invoice write-off inv_01jd0000000000000000000001 --reason 'insolvent'";

const CREDIT_HELP: &str = "\
Without --line, everything that is left of the invoice is taken back. Lines count from 0; the amount is without tax, \
unless the line's amount includes it.

Examples:
  keyctl invoice credit inv_01jd0000000000000000000001 --reason 'issued in error'
  keyctl invoice credit inv_01jd0000000000000000000001 --line 0=10.00 --reason 'goodwill'";

const CREDITS_HELP: &str = "\
Examples:
  keyctl invoice credits inv_01jd0000000000000000000001";

/// The verbs of `keyctl invoice`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum InvoiceCommand {
    /// List invoices, oldest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Show one invoice
    #[command(after_help = SHOW_HELP)]
    Show(InvoiceArgs),
    /// Issue a one-off invoice
    #[command(after_help = ISSUE_HELP)]
    Issue(IssueArgs),
    /// Void an invoice, as if it had never been issued
    #[command(after_help = VOID_HELP)]
    Void(EndArgs),
    /// Give up what is open of an invoice
    #[command(after_help = WRITE_OFF_HELP)]
    WriteOff(EndArgs),
    /// Issue a credit note
    #[command(after_help = CREDIT_HELP)]
    Credit(CreditArgs),
    /// List the credit notes of an invoice
    #[command(after_help = CREDITS_HELP)]
    Credits(InvoiceArgs),
    /// Write invoices as a table
    #[command(after_help = INVOICES_HELP)]
    Export(InvoiceExportArgs),
    /// Write the statement of account of a tenant as PDF
    #[command(after_help = document::STATEMENT_HELP)]
    Statement(document::StatementArgs),
    /// Write an invoice, a credit note or a receipt as PDF
    #[command(after_help = document::PDF_HELP)]
    Pdf(document::PdfArgs),
    /// Write an invoice or a credit note as XML
    #[command(after_help = document::XML_HELP)]
    Xml(document::XmlArgs),
}

/// The arguments of `keyctl invoice list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only invoices that this tenant owes
    #[arg(long)]
    tenant: Option<TenantId>,

    /// Only invoices that this tenant has issued
    #[arg(long, value_name = "TENANT")]
    issuer: Option<TenantId>,

    /// Only invoices with this status
    #[arg(long, value_parser = one_of::<InvoiceStatus, _>(["finalized", "paid", "void", "uncollectible"]))]
    status: Option<InvoiceStatus>,
}

/// Names one invoice.
#[derive(Debug, Args)]
pub(crate) struct InvoiceArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    id: InvoiceId,
}

/// The arguments of `keyctl invoice issue`.
#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// Tenant that owes
    #[arg(long)]
    tenant: TenantId,

    /// Tenant that sells [default: on a store, the tenant right above; through the API, that of the
    /// token]
    #[arg(long, value_name = "TENANT")]
    issuer: Option<TenantId>,

    /// Currency, by its ISO 4217 code
    #[arg(long, value_parser = currency)]
    currency: Currency,

    /// A line: its text, = and its amount
    #[arg(long = "line", value_name = "TEXT=AMOUNT", required = true, value_parser = text_and_amount)]
    lines: Vec<(String, String)>,

    /// A text for the invoice
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
}

/// The arguments of commands that end an invoice.
#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    id: InvoiceId,

    /// Reason, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// The arguments of `keyctl invoice credit`.
#[derive(Debug, Args)]
pub(crate) struct CreditArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    id: InvoiceId,

    /// A part of a line to take back: the place of the line, = and the amount
    #[arg(long = "line", value_name = "N=AMOUNT", value_parser = place_and_amount)]
    lines: Vec<(usize, String)>,

    /// Reason, which is on the credit note
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl InvoiceCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let backend = &context.backend;
        let invoice = match self {
            Self::List(ListArgs { tenant, issuer, status }) => {
                let found = backend.invoices(InvoiceFilter { tenant, issuer, status }).await?;
                return context.output.show(&found);
            }
            Self::Show(InvoiceArgs { id }) => backend.invoice(id).await?,
            Self::Issue(arguments) => backend.issue_invoice(arguments.into_body()).await?,
            Self::Void(EndArgs { id, reason }) => {
                context.confirm(async || Ok(format!("Void {id}?"))).await?;
                backend.void_invoice(id, &reason).await?
            }
            Self::WriteOff(EndArgs { id, reason }) => {
                context.confirm(async || Ok(format!("Give up what is open of {id}?"))).await?;
                backend.write_off_invoice(id, &reason).await?
            }
            Self::Credit(CreditArgs { id, lines, reason }) => {
                let lines = lines.into_iter().map(|(line, amount)| CreditedLineBody { line, amount }).collect();
                let note = backend.issue_credit_note(id, NewCreditNoteBody { lines, reason }).await?;
                return context.output.show(&note);
            }
            Self::Export(arguments) => return arguments.run(context).await,
            Self::Statement(arguments) => return arguments.run(context).await,
            Self::Pdf(arguments) => return arguments.run(context).await,
            Self::Xml(arguments) => return arguments.run(context).await,
            Self::Credits(InvoiceArgs { id }) => return context.output.show(&backend.credit_notes(id).await?),
        };
        context.output.show(&invoice)
    }
}

impl IssueArgs {
    fn into_body(self) -> NewInvoiceBody {
        let line = |(description, amount)| NewLineBody { description, amount, meter: None };
        NewInvoiceBody {
            issuer: self.issuer,
            tenant: self.tenant,
            currency: self.currency,
            lines: self.lines.into_iter().map(line).collect(),
            memo: self.memo,
        }
    }
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::from_code(text).ok_or_else(|| "use a code of ISO 4217, as in USD".into())
}

fn text_and_amount(text: &str) -> Result<(String, String), String> {
    let (text, amount) = text.rsplit_once('=').ok_or("write it as in 'Onboarding=500.00'")?;
    Ok((text.to_owned(), amount.to_owned()))
}

fn place_and_amount(text: &str) -> Result<(usize, String), String> {
    let parsed = text.split_once('=').and_then(|(place, amount)| Some((place.parse().ok()?, amount.to_owned())));
    parsed.ok_or_else(|| "write it as in 0=10.00".into())
}
