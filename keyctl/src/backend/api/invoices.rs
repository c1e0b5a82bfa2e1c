//! Invoices, payments and the ledger through the API.

use async_trait::async_trait;
use common::{
    api::{
        invoice::{
            CreditNoteDocument, DisputeDocument, DunningStepDocument, InvoiceDocument, NewCreditNoteBody,
            NewInvoiceBody, NewPaymentBody, PaymentAttemptDocument, PaymentDocument, PaymentMethodDocument,
            PayoutDocument, PayoutItemDocument, ReasonBody, RefundBody,
        },
        ledger::{BalanceDocument, BalancesDocument, EntryDocument},
    },
    branding::Branding,
    id::{InvoiceId, PaymentId, PayoutId, TenantId},
    invoice::{BillingDetails, InvoiceFilter},
    ledger::Account,
    payment::DisputeStatus,
    time::Micros,
};
use reqwest::Method;

use super::ApiBackend;
use crate::{
    backend::{DocumentCall, Invoices},
    error::Failure,
};

impl ApiBackend {
    /// Sends a reason to an operation on an invoice.
    async fn end_invoice(&self, id: InvoiceId, verb: &str, reason: &str) -> Result<InvoiceDocument, Failure> {
        let body = ReasonBody { reason: reason.to_owned() };
        Ok(self.call(Method::POST, &["invoices", &id.to_string(), verb]).with(&body)?.read().await?)
    }
}

#[async_trait]
impl Invoices for ApiBackend {
    async fn invoices(&self, filter: InvoiceFilter) -> Result<Vec<InvoiceDocument>, Failure> {
        let InvoiceFilter { tenant, issuer, status } = filter;
        let call = self.get(&["invoices"]).query("tenant", tenant).query("issuer", issuer).query("status", status);
        Ok(call.pages(usize::MAX).await?)
    }

    async fn invoice(&self, id: InvoiceId) -> Result<InvoiceDocument, Failure> {
        Ok(self.get(&["invoices", &id.to_string()]).read().await?)
    }

    async fn issue_invoice(&self, body: NewInvoiceBody) -> Result<InvoiceDocument, Failure> {
        Ok(self.create(&["invoices"], &body)?.read().await?)
    }

    async fn void_invoice(&self, id: InvoiceId, reason: &str) -> Result<InvoiceDocument, Failure> {
        self.end_invoice(id, "void", reason).await
    }

    async fn write_off_invoice(&self, id: InvoiceId, reason: &str) -> Result<InvoiceDocument, Failure> {
        self.end_invoice(id, "write-off", reason).await
    }

    async fn credit_notes(&self, invoice: InvoiceId) -> Result<Vec<CreditNoteDocument>, Failure> {
        Ok(self.get(&["invoices", &invoice.to_string(), "credit-notes"]).list().await?)
    }

    async fn issue_credit_note(
        &self,
        invoice: InvoiceId,
        body: NewCreditNoteBody,
    ) -> Result<CreditNoteDocument, Failure> {
        Ok(self.create(&["invoices", &invoice.to_string(), "credit-notes"], &body)?.read().await?)
    }

    async fn payments(&self, invoice: InvoiceId) -> Result<Vec<PaymentDocument>, Failure> {
        Ok(self.get(&["invoices", &invoice.to_string(), "payments"]).list().await?)
    }

    async fn record_payment(&self, invoice: InvoiceId, body: NewPaymentBody) -> Result<PaymentDocument, Failure> {
        let path = ["invoices", &invoice.to_string(), "payments"];
        Ok(self.call(Method::POST, &path).with(&body)?.read().await?)
    }

    async fn refund_payment(&self, payment: PaymentId, body: RefundBody) -> Result<PaymentDocument, Failure> {
        let path = ["payments", &payment.to_string(), "refund"];
        Ok(self.call(Method::POST, &path).with(&body)?.read().await?)
    }

    async fn payment_attempts(&self, invoice: InvoiceId) -> Result<Vec<PaymentAttemptDocument>, Failure> {
        Ok(self.get(&["invoices", &invoice.to_string(), "payment-attempts"]).list().await?)
    }

    async fn disputes(
        &self,
        tenant: Option<TenantId>,
        status: Option<DisputeStatus>,
    ) -> Result<Vec<DisputeDocument>, Failure> {
        Ok(self.get(&["disputes"]).query("tenant", tenant).query("status", status).pages(usize::MAX).await?)
    }

    async fn payouts(&self, tenant: Option<TenantId>, unmatched: bool) -> Result<Vec<PayoutDocument>, Failure> {
        Ok(self.get(&["payouts"]).query("tenant", tenant).query("unmatched", Some(unmatched)).pages(usize::MAX).await?)
    }

    async fn payout_items(&self, tenant: TenantId, payout: PayoutId) -> Result<Vec<PayoutItemDocument>, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "payouts", &payout.to_string(), "items"]).list().await?)
    }

    async fn collect_invoice(&self, invoice: InvoiceId) -> Result<PaymentAttemptDocument, Failure> {
        Ok(self.call(Method::POST, &["invoices", &invoice.to_string(), "payment-attempts"]).read().await?)
    }

    async fn dunning_steps(&self, invoice: InvoiceId) -> Result<Vec<DunningStepDocument>, Failure> {
        Ok(self.get(&["invoices", &invoice.to_string(), "dunning"]).list().await?)
    }

    async fn payment_methods(&self, tenant: TenantId) -> Result<Vec<PaymentMethodDocument>, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "payment-methods"]).list().await?)
    }

    async fn billing_details(&self, tenant: TenantId) -> Result<BillingDetails, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "billing-details"]).read().await?)
    }

    async fn set_billing_details(&self, tenant: TenantId, details: &BillingDetails) -> Result<(), Failure> {
        let path = ["tenants", &tenant.to_string(), "billing-details"];
        Ok(self.call(Method::PUT, &path).with(details)?.done().await?)
    }

    async fn branding(&self, tenant: TenantId) -> Result<Branding, Failure> {
        Ok(self.get(&["tenants", &tenant.to_string(), "branding"]).read().await?)
    }

    async fn set_branding(&self, tenant: TenantId, branding: &Branding) -> Result<(), Failure> {
        let path = ["tenants", &tenant.to_string(), "branding"];
        Ok(self.call(Method::PUT, &path).with(branding)?.done().await?)
    }

    async fn document(&self, DocumentCall { path, query }: DocumentCall) -> Result<Vec<u8>, Failure> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let call = query.into_iter().fold(self.get(&path), |call, (name, value)| call.query(name, Some(value)));
        Ok(call.bytes().await?)
    }

    async fn balances(&self, tenant: TenantId) -> Result<Vec<BalanceDocument>, Failure> {
        let found: BalancesDocument = self.get(&["tenants", &tenant.to_string(), "ledger", "balances"]).read().await?;
        Ok(found.items)
    }

    async fn ledger_entries(&self, tenant: TenantId, account: Option<Account>) -> Result<Vec<EntryDocument>, Failure> {
        let call = self.get(&["tenants", &tenant.to_string(), "ledger", "entries"]).query("account", account);
        Ok(call.pages(usize::MAX).await?)
    }

    async fn trial_balance(&self, issuer: TenantId, until: Option<Micros>) -> Result<Vec<BalanceDocument>, Failure> {
        let call = self.get(&["tenants", &issuer.to_string(), "ledger", "trial-balance"]).query("until", until);
        Ok(call.read::<BalancesDocument>().await?.items)
    }
}
