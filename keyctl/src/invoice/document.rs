//! `keyctl invoice pdf` and `keyctl invoice xml`: documents of invoices, as files.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use common::{
    id::{CreditNoteId, InvoiceId, PaymentId, TenantId},
    time::Micros,
};

use crate::{backend::DocumentCall, context::Context, error::Failure};

pub(super) const PDF_HELP: &str = "\
`billing serve` makes the document, so this takes --api. Without --out, the bytes go to standard output.

Examples:
  keyctl invoice pdf inv_01jd0000000000000000000001 --out invoice.pdf
  keyctl invoice pdf inv_01jd0000000000000000000001 --language de --factur-x > rechnung.pdf";

pub(super) const XML_HELP: &str = "\
An electronic invoice by EN 16931, which `billing serve` makes, so this takes --api.

Examples:
  keyctl invoice xml inv_01jd0000000000000000000001 --out invoice.xml
  keyctl invoice xml inv_01jd0000000000000000000001 --syntax cii";

/// The arguments of `keyctl invoice pdf`.
#[derive(Debug, Args)]
pub(crate) struct PdfArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    id: InvoiceId,

    /// A credit note of the invoice instead
    #[arg(long, value_name = "ID", conflicts_with_all = ["payment"])]
    credit_note: Option<CreditNoteId>,

    /// The receipt of a payment of the invoice instead
    #[arg(long, value_name = "ID", conflicts_with = "factur_x")]
    payment: Option<PaymentId>,

    /// Language, by two letters of ISO 639 [default: that of the issuer's branding]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,

    /// With the electronic invoice in it
    #[arg(long)]
    factur_x: bool,

    /// File to write
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) const STATEMENT_HELP: &str = "\
Charges and payments of the tenant, with the balance after each. `billing serve` makes the document, so this takes --api.

Examples:
  keyctl invoice statement ten_01jd0000000000000000000001 --currency EUR --out statement.pdf";

/// The arguments of `keyctl invoice statement`.
#[derive(Debug, Args)]
pub(crate) struct StatementArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Currency of the account
    #[arg(long, value_name = "CODE")]
    currency: String,

    /// Tenant in whose books it is [default: the tenant above]
    #[arg(long, value_name = "TENANT")]
    issuer: Option<TenantId>,

    /// First instant that it covers [default: from the beginning]
    #[arg(long, value_name = "INSTANT")]
    from: Option<Micros>,

    /// First instant after [default: now]
    #[arg(long, value_name = "INSTANT")]
    to: Option<Micros>,

    /// Language, by two letters of ISO 639 [default: that of the issuer's branding]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,

    /// File to write
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The arguments of `keyctl invoice xml`.
#[derive(Debug, Args)]
pub(crate) struct XmlArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    id: InvoiceId,

    /// A credit note of the invoice instead
    #[arg(long, value_name = "ID")]
    credit_note: Option<CreditNoteId>,

    /// Syntax: UBL as in Peppol, or CII as in Factur-X
    #[arg(long, default_value = "ubl")]
    syntax: Syntax,

    /// File to write
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Syntax {
    Ubl,
    Cii,
}

impl PdfArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut call = of_invoice(self.id, self.credit_note);
        if let Some(payment) = self.payment {
            call.path.extend(["payments".into(), payment.to_string()]);
        }
        call.path.push("pdf".into());
        call.query.extend(self.language.map(|language| ("language", language)));
        call.query.extend(self.factur_x.then(|| ("factur_x", "true".into())));
        write(&context.backend.document(call).await?, self.out)
    }
}

impl XmlArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut call = of_invoice(self.id, self.credit_note);
        call.path.push("xml".into());
        let syntax = match self.syntax {
            Syntax::Ubl => "ubl",
            Syntax::Cii => "cii",
        };
        call.query.push(("syntax", syntax.into()));
        write(&context.backend.document(call).await?, self.out)
    }
}

impl StatementArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = ["tenants", &self.tenant.to_string(), "statement", "pdf"].map(str::to_owned).into();
        let query = [
            ("currency", Some(self.currency)),
            ("issuer", self.issuer.map(|issuer| issuer.to_string())),
            ("from", self.from.map(|from| from.to_string())),
            ("to", self.to.map(|to| to.to_string())),
            ("language", self.language),
        ];
        let query = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        write(&context.backend.document(DocumentCall { path, query }).await?, self.out)
    }
}

fn of_invoice(invoice: InvoiceId, credit_note: Option<CreditNoteId>) -> DocumentCall {
    let mut path = vec!["invoices".to_owned(), invoice.to_string()];
    if let Some(credit_note) = credit_note {
        path.extend(["credit-notes".into(), credit_note.to_string()]);
    }
    DocumentCall { path, query: Vec::new() }
}

fn write(bytes: &[u8], file: Option<PathBuf>) -> Result<(), Failure> {
    match file {
        Some(file) => std::fs::write(file, bytes)?,
        None => io::stdout().lock().write_all(bytes)?,
    }
    Ok(())
}
