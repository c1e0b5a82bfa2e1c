//! `keyctl payment`: payments of invoices, and what is done to get them.

mod dispute;
mod payout;

use clap::{Args, Subcommand};
use common::{
    api::invoice::{
        DunningStepDocument, NewPaymentBody, PaymentAttemptDocument, PaymentDocument, PaymentMethodDocument, RefundBody,
    },
    id::{InvoiceId, PaymentId, TenantId},
    time::Micros,
};

use self::{
    dispute::DisputesArgs,
    payout::{PayoutArgs, PayoutsArgs},
};
use crate::{
    bank_entry::{
        ASSIGN_HELP, AssignArgs, ENTRIES_HELP, EntriesArgs, IGNORE_HELP, IMPORT_HELP, IgnoreArgs, ImportArgs,
    },
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View, or_dash},
};

const HELP: &str = "\
Examples:
  keyctl payment record inv_01jd0000000000000000000001 --amount 103.80 --reference 'line 7'
  keyctl payment list inv_01jd0000000000000000000001
  keyctl payment collect inv_01jd0000000000000000000001
  keyctl payment import ten_01jd0000000000000000000000 statement.xml
  keyctl payment methods ten_01jd0000000000000000000000
  keyctl payment disputes --status open
  keyctl payment payouts --unmatched";

const COLLECT_HELP: &str = "\
What is open is charged to the method that the tenant has saved at the issuer's payment provider. An attempt that has
not ended is taken on, so the command can be repeated. With --store, `billing serve` does it within a minute.

Examples:
  keyctl payment collect inv_01jd0000000000000000000001";

const ATTEMPTS_HELP: &str = "\
Examples:
  keyctl payment attempts inv_01jd0000000000000000000001";

const DUNNING_HELP: &str = "\
The issuer's billing details say which steps there are (`dunning`).

Examples:
  keyctl payment dunning inv_01jd0000000000000000000001";

const METHODS_HELP: &str = "\
Examples:
  keyctl payment methods ten_01jd0000000000000000000000";

const RECORD_HELP: &str = "\
At most what is open of the invoice. The same method and reference count once, so the command can be repeated.

Examples:
  keyctl payment record inv_01jd0000000000000000000001 --amount 103.80 --reference 'line 7'";

const REFUND_HELP: &str = "\
At most what credit notes have taken back of what was paid: issue the credit note first.

Examples:
  keyctl payment refund pay_01jd0000000000000000000001 --amount 10.00 --reference 'transfer 17'";

const LIST_HELP: &str = "\
Examples:
  keyctl payment list inv_01jd0000000000000000000001";

/// The verbs of `keyctl payment`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum PaymentCommand {
    /// Record a payment of an invoice
    #[command(after_help = RECORD_HELP)]
    Record(RecordArgs),
    /// Record that a payment went back
    #[command(after_help = REFUND_HELP)]
    Refund(RefundArgs),
    /// List the payments of an invoice and their refunds
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Collect an invoice now
    #[command(after_help = COLLECT_HELP)]
    Collect(ListArgs),
    /// List attempts to collect an invoice
    #[command(after_help = ATTEMPTS_HELP)]
    Attempts(ListArgs),
    /// List the steps of dunning that were taken against an invoice
    #[command(after_help = DUNNING_HELP)]
    Dunning(ListArgs),
    /// Import a bank statement
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// List entries of bank statements
    #[command(after_help = ENTRIES_HELP)]
    Entries(EntriesArgs),
    /// Say what an open bank entry pays
    #[command(after_help = ASSIGN_HELP)]
    Assign(AssignArgs),
    /// Say that nothing follows from an open bank entry
    #[command(after_help = IGNORE_HELP)]
    Ignore(IgnoreArgs),
    /// List the payment methods that a tenant has saved
    #[command(after_help = METHODS_HELP)]
    Methods(MethodsArgs),
    /// List disputes: payments that payers' banks take back
    #[command(after_help = dispute::HELP)]
    Disputes(DisputesArgs),
    /// List payouts: what payment providers send to issuers' banks
    #[command(after_help = payout::LIST_HELP)]
    Payouts(PayoutsArgs),
    /// List what a payout consists of
    #[command(after_help = payout::HELP)]
    Payout(PayoutArgs),
}

/// The arguments of `keyctl payment record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    invoice: InvoiceId,

    /// Amount, in the currency of the invoice
    #[arg(long)]
    amount: String,

    /// Way in which it came
    #[arg(long, value_name = "NAME", default_value = "bank_transfer")]
    method: String,

    /// Its name there, such as the number of a statement's line
    #[arg(long, value_name = "TEXT")]
    reference: String,

    /// Time at which it came, as in 2026-12-03T00:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT")]
    received_at: Option<Micros>,
}

/// The arguments of `keyctl payment refund`.
#[derive(Debug, Args)]
pub(crate) struct RefundArgs {
    /// Id of the payment
    #[arg(value_name = "PAYMENT")]
    payment: PaymentId,

    /// Amount, in the currency of the payment
    #[arg(long)]
    amount: String,

    /// Its name in the way in which the payment came
    #[arg(long, value_name = "TEXT")]
    reference: String,
}

/// The argument of commands about one invoice.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Id of the invoice
    #[arg(value_name = "INVOICE")]
    invoice: InvoiceId,
}

/// The arguments of `keyctl payment methods`.
#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
}

impl PaymentCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let backend = &context.backend;
        let payment = match self {
            Self::Record(RecordArgs { invoice, amount, method, reference, received_at }) => {
                let received_at = received_at.map(Into::into);
                let body = NewPaymentBody { amount, method: Some(method), reference, received_at };
                backend.record_payment(invoice, body).await?
            }
            Self::Refund(RefundArgs { payment, amount, reference }) => {
                backend.refund_payment(payment, RefundBody { amount, reference }).await?
            }
            Self::List(ListArgs { invoice }) => return context.output.show(&backend.payments(invoice).await?),
            Self::Collect(ListArgs { invoice }) => {
                return context.output.show(&backend.collect_invoice(invoice).await?);
            }
            Self::Attempts(ListArgs { invoice }) => {
                return context.output.show(&backend.payment_attempts(invoice).await?);
            }
            Self::Dunning(ListArgs { invoice }) => return context.output.show(&backend.dunning_steps(invoice).await?),
            Self::Import(arguments) => return arguments.run(context).await,
            Self::Entries(arguments) => return arguments.run(context).await,
            Self::Assign(arguments) => return arguments.run(context).await,
            Self::Ignore(arguments) => return arguments.run(context).await,
            Self::Methods(MethodsArgs { tenant }) => {
                return context.output.show(&backend.payment_methods(tenant).await?);
            }
            Self::Disputes(arguments) => return arguments.run(context).await,
            Self::Payouts(arguments) => return arguments.run(context).await,
            Self::Payout(arguments) => return arguments.run(context).await,
        };
        context.output.show(&payment)
    }
}

impl View for PaymentDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("invoice", self.invoice.to_string()),
            ("amount", self.amount.amount.clone()),
            ("method", self.method.clone()),
            ("reference", self.reference.clone()),
            ("refund of", or_dash(self.refund_of)),
            ("received", self.received_at.to_string()),
        ])
    }
}

impl ListRow for PaymentDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "AMOUNT", "METHOD", "REFERENCE", "RECEIVED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.amount.amount.clone(),
            self.method.clone(),
            self.reference.clone(),
            self.received_at.to_string(),
        ]
    }
}

impl View for PaymentAttemptDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("invoice", self.invoice.to_string()),
            ("provider", self.provider.clone()),
            ("amount", format!("{} {}", self.amount.amount, self.currency.code())),
            ("status", self.status.to_string()),
            ("failure", or_dash(self.failure.as_ref())),
            ("intent", or_dash(self.intent.as_ref())),
            ("to confirm at", or_dash(self.action_url.as_ref())),
            ("began", self.created_at.to_string()),
        ])
    }
}

impl ListRow for PaymentAttemptDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "PROVIDER", "AMOUNT", "STATUS", "FAILURE", "BEGAN"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.provider.clone(),
            self.amount.amount.clone(),
            self.status.to_string(),
            or_dash(self.failure.as_ref()),
            self.created_at.to_string(),
        ]
    }
}

impl ListRow for DunningStepDocument {
    const COLUMNS: &'static [&'static str] = &["STEP", "ACTION", "TAKEN"];

    fn cells(&self) -> Vec<String> {
        vec![self.number.to_string(), self.action.to_string(), self.taken_at.to_string()]
    }
}

impl ListRow for PaymentMethodDocument {
    const COLUMNS: &'static [&'static str] = &["ISSUER", "PROVIDER", "METHOD", "CHANGED"];

    fn cells(&self) -> Vec<String> {
        vec![self.issuer.to_string(), self.provider.clone(), or_dash(self.label.as_ref()), self.updated_at.to_string()]
    }
}
