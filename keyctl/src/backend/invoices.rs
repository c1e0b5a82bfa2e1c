//! Invoices, payments and the ledger, for commands.

use async_trait::async_trait;
use common::{
    api::{
        invoice::{
            CreditNoteDocument, DisputeDocument, DunningStepDocument, InvoiceDocument, NewCreditNoteBody,
            NewInvoiceBody, NewPaymentBody, PaymentAttemptDocument, PaymentDocument, PaymentMethodDocument,
            PayoutDocument, PayoutItemDocument, RefundBody,
        },
        ledger::{BalanceDocument, EntryDocument},
    },
    branding::Branding,
    id::{InvoiceId, PaymentId, PayoutId, TenantId},
    invoice::{BillingDetails, InvoiceFilter},
    ledger::Account,
    payment::DisputeStatus,
    time::Micros,
};

use crate::error::Failure;

/// A document: its path behind `/v1/`, part by part, and its query.
#[derive(Debug)]
pub(crate) struct DocumentCall {
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(&'static str, String)>,
}

/// Invoices, payments and the ledger.
#[async_trait]
pub(crate) trait Invoices: Send + Sync {
    /// Lists invoices, oldest first.
    async fn invoices(&self, filter: InvoiceFilter) -> Result<Vec<InvoiceDocument>, Failure>;

    /// Reads one invoice.
    async fn invoice(&self, id: InvoiceId) -> Result<InvoiceDocument, Failure>;

    /// Issues a one-off invoice.
    async fn issue_invoice(&self, body: NewInvoiceBody) -> Result<InvoiceDocument, Failure>;

    /// Voids an invoice.
    async fn void_invoice(&self, id: InvoiceId, reason: &str) -> Result<InvoiceDocument, Failure>;

    /// Gives up an invoice.
    async fn write_off_invoice(&self, id: InvoiceId, reason: &str) -> Result<InvoiceDocument, Failure>;

    /// Lists the credit notes of an invoice, oldest first.
    async fn credit_notes(&self, invoice: InvoiceId) -> Result<Vec<CreditNoteDocument>, Failure>;

    /// Issues a credit note.
    async fn issue_credit_note(
        &self,
        invoice: InvoiceId,
        body: NewCreditNoteBody,
    ) -> Result<CreditNoteDocument, Failure>;

    /// Lists the payments of an invoice and their refunds, oldest first.
    async fn payments(&self, invoice: InvoiceId) -> Result<Vec<PaymentDocument>, Failure>;

    /// Records a payment.
    async fn record_payment(&self, invoice: InvoiceId, body: NewPaymentBody) -> Result<PaymentDocument, Failure>;

    /// Records that a payment went back.
    async fn refund_payment(&self, payment: PaymentId, body: RefundBody) -> Result<PaymentDocument, Failure>;

    /// Lists attempts to collect an invoice, oldest first.
    async fn payment_attempts(&self, invoice: InvoiceId) -> Result<Vec<PaymentAttemptDocument>, Failure>;

    /// Lists disputes of payments by this tenant and every tenant below it; by all unless stated.
    async fn disputes(
        &self,
        tenant: Option<TenantId>,
        status: Option<DisputeStatus>,
    ) -> Result<Vec<DisputeDocument>, Failure>;

    /// Lists payouts to this tenant and every tenant below it, or only those with items that nothing
    /// explains.
    async fn payouts(&self, tenant: Option<TenantId>, unmatched: bool) -> Result<Vec<PayoutDocument>, Failure>;

    /// Lists the items of a payout to this tenant.
    async fn payout_items(&self, tenant: TenantId, payout: PayoutId) -> Result<Vec<PayoutItemDocument>, Failure>;

    /// Begins to collect an invoice, or takes on what has begun.
    async fn collect_invoice(&self, invoice: InvoiceId) -> Result<PaymentAttemptDocument, Failure>;

    /// Lists the steps of dunning that were taken against an invoice.
    async fn dunning_steps(&self, invoice: InvoiceId) -> Result<Vec<DunningStepDocument>, Failure>;

    /// Lists the payment methods of a tenant.
    async fn payment_methods(&self, tenant: TenantId) -> Result<Vec<PaymentMethodDocument>, Failure>;

    /// Reads the billing details of a tenant.
    async fn billing_details(&self, tenant: TenantId) -> Result<BillingDetails, Failure>;

    /// Replaces the billing details of a tenant.
    async fn set_billing_details(&self, tenant: TenantId, details: &BillingDetails) -> Result<(), Failure>;

    /// Reads the branding of a tenant's documents.
    async fn branding(&self, tenant: TenantId) -> Result<Branding, Failure>;

    /// Replaces the branding of a tenant's documents.
    async fn set_branding(&self, tenant: TenantId, branding: &Branding) -> Result<(), Failure>;

    /// Reads the bytes of a document.
    async fn document(&self, call: DocumentCall) -> Result<Vec<u8>, Failure>;

    /// Reads the balances of a tenant's accounts.
    async fn balances(&self, tenant: TenantId) -> Result<Vec<BalanceDocument>, Failure>;

    /// Reads the entries of a tenant's accounts, in the order of the ledger.
    async fn ledger_entries(&self, tenant: TenantId, account: Option<Account>) -> Result<Vec<EntryDocument>, Failure>;

    /// Reads the trial balance of an issuer's books.
    async fn trial_balance(&self, issuer: TenantId, until: Option<Micros>) -> Result<Vec<BalanceDocument>, Failure>;
}
