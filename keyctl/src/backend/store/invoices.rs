//! Invoices, payments and the ledger in the store.

use async_trait::async_trait;
use common::{
    api::{
        invoice::{
            AmountError, CreditNoteDocument, DisputeDocument, DunningStepDocument, InvoiceDocument, NewCreditNoteBody,
            NewInvoiceBody, NewPaymentBody, PaymentAttemptDocument, PaymentDocument, PaymentMethodDocument,
            PayoutDocument, PayoutItemDocument, RefundBody,
        },
        ledger::{BalanceDocument, EntryDocument},
    },
    branding::Branding,
    id::{InvoiceId, PaymentId, PayoutId, TenantId},
    invoice::{BillingDetails, Finalized, InvoiceFilter},
    ledger::Account,
    payment::{DisputeFilter, DisputeStatus, PayoutFilter},
    store::StoreError,
    time::Micros,
};

use super::{ALL, StoreBackend};
use crate::{
    backend::{DocumentCall, Invoices},
    error::Failure,
};

/// The provider that collects.
const PROVIDER: &str = "stripe";

fn refused(error: &AmountError) -> Failure {
    StoreError::Refused(error.to_string()).into()
}

#[async_trait]
impl Invoices for StoreBackend {
    async fn invoices(&self, filter: InvoiceFilter) -> Result<Vec<InvoiceDocument>, Failure> {
        if let Some(tenant) = filter.tenant {
            // An unknown tenant is an error, not a tenant without invoices.
            self.store.tenant(tenant).await?;
        }
        Ok(self.store.invoices(filter, ALL).await?.items.into_iter().map(Into::into).collect())
    }

    async fn invoice(&self, id: InvoiceId) -> Result<InvoiceDocument, Failure> {
        Ok(self.store.invoice(id).await?.into())
    }

    async fn issue_invoice(&self, body: NewInvoiceBody) -> Result<InvoiceDocument, Failure> {
        // Without an issuer, it is the tenant right above.
        let issuer = match body.issuer {
            Some(issuer) => issuer,
            None => self.store.tenant(body.tenant).await?.parent.unwrap_or(body.tenant),
        };
        let new = body.invoice(issuer).map_err(|error| refused(&error))?;
        let (Finalized::New(invoice) | Finalized::Before(invoice)) =
            self.store.finalize_invoice(&new, self.now).await?;
        Ok((*invoice).into())
    }

    async fn void_invoice(&self, id: InvoiceId, reason: &str) -> Result<InvoiceDocument, Failure> {
        Ok(self.store.void_invoice(id, reason, self.now).await?.into())
    }

    async fn write_off_invoice(&self, id: InvoiceId, reason: &str) -> Result<InvoiceDocument, Failure> {
        Ok(self.store.write_off_invoice(id, reason, self.now).await?.into())
    }

    async fn credit_notes(&self, invoice: InvoiceId) -> Result<Vec<CreditNoteDocument>, Failure> {
        Ok(self.store.credit_notes(invoice).await?.into_iter().map(Into::into).collect())
    }

    async fn issue_credit_note(
        &self,
        invoice: InvoiceId,
        body: NewCreditNoteBody,
    ) -> Result<CreditNoteDocument, Failure> {
        let currency = self.store.invoice(invoice).await?.content.currency;
        let new = body.credit_note(currency).map_err(|error| refused(&error))?;
        Ok(self.store.issue_credit_note(invoice, &new, self.now).await?.into())
    }

    async fn payments(&self, invoice: InvoiceId) -> Result<Vec<PaymentDocument>, Failure> {
        Ok(self.store.payments(invoice).await?.into_iter().map(Into::into).collect())
    }

    async fn record_payment(&self, invoice: InvoiceId, body: NewPaymentBody) -> Result<PaymentDocument, Failure> {
        let currency = self.store.invoice(invoice).await?.content.currency;
        let new = body.payment(invoice, currency, self.now).map_err(|error| refused(&error))?;
        Ok(self.store.record_payment(&new, self.now).await?.into())
    }

    async fn refund_payment(&self, payment: PaymentId, body: RefundBody) -> Result<PaymentDocument, Failure> {
        let currency = self.store.payment(payment).await?.amount.currency();
        let amount = body.amount(currency).map_err(|error| refused(&error))?;
        Ok(self.store.refund_payment(payment, amount, &body.reference, self.now).await?.into())
    }

    async fn payment_attempts(&self, invoice: InvoiceId) -> Result<Vec<PaymentAttemptDocument>, Failure> {
        Ok(self.store.payment_attempts(invoice).await?.into_iter().map(Into::into).collect())
    }

    async fn disputes(
        &self,
        tenant: Option<TenantId>,
        status: Option<DisputeStatus>,
    ) -> Result<Vec<DisputeDocument>, Failure> {
        let filter = DisputeFilter { subtree_of: tenant, invoice: None, status };
        Ok(self.store.disputes(filter, ALL).await?.items.into_iter().map(Into::into).collect())
    }

    async fn payouts(&self, tenant: Option<TenantId>, unmatched: bool) -> Result<Vec<PayoutDocument>, Failure> {
        let filter = PayoutFilter { subtree_of: tenant, unmatched };
        Ok(self.store.payouts(filter, ALL).await?.items.into_iter().map(Into::into).collect())
    }

    async fn payout_items(&self, tenant: TenantId, payout: PayoutId) -> Result<Vec<PayoutItemDocument>, Failure> {
        if self.store.payout(payout).await?.issuer != tenant {
            return Err(StoreError::NotFound { what: "payout", id: payout.to_string() }.into());
        }
        Ok(self.store.payout_items(payout).await?.into_iter().map(Into::into).collect())
    }

    async fn collect_invoice(&self, invoice: InvoiceId) -> Result<PaymentAttemptDocument, Failure> {
        // The job of `billing serve`, which has the provider's secrets, takes it on.
        Ok(self.store.begin_payment(invoice, PROVIDER, self.now, self.now).await?.into())
    }

    async fn dunning_steps(&self, invoice: InvoiceId) -> Result<Vec<DunningStepDocument>, Failure> {
        Ok(self.store.dunning_steps(invoice).await?.into_iter().map(Into::into).collect())
    }

    async fn payment_methods(&self, tenant: TenantId) -> Result<Vec<PaymentMethodDocument>, Failure> {
        Ok(self.store.payment_accounts(tenant).await?.into_iter().map(Into::into).collect())
    }

    async fn billing_details(&self, tenant: TenantId) -> Result<BillingDetails, Failure> {
        Ok(self.store.billing_details(tenant).await?)
    }

    async fn set_billing_details(&self, tenant: TenantId, details: &BillingDetails) -> Result<(), Failure> {
        Ok(self.store.set_billing_details(tenant, details, self.now).await?)
    }

    async fn branding(&self, tenant: TenantId) -> Result<Branding, Failure> {
        Ok(self.store.branding(tenant).await?)
    }

    async fn set_branding(&self, tenant: TenantId, branding: &Branding) -> Result<(), Failure> {
        // Nobody here could try them.
        if branding.logo.is_some() || branding.template.is_some() {
            return Err(Failure::ByApi("a logo or template"));
        }
        Ok(self.store.set_branding(tenant, branding, self.now).await?)
    }

    async fn document(&self, _call: DocumentCall) -> Result<Vec<u8>, Failure> {
        Err(Failure::ByApi("a document"))
    }

    async fn balances(&self, tenant: TenantId) -> Result<Vec<BalanceDocument>, Failure> {
        Ok(self.store.balances(tenant).await?.into_iter().map(Into::into).collect())
    }

    async fn ledger_entries(&self, tenant: TenantId, account: Option<Account>) -> Result<Vec<EntryDocument>, Failure> {
        let page = self.store.statement(tenant, account, ALL).await?;
        Ok(page.items.into_iter().map(Into::into).collect())
    }

    async fn trial_balance(&self, issuer: TenantId, until: Option<Micros>) -> Result<Vec<BalanceDocument>, Failure> {
        Ok(self.store.trial_balance(issuer, until).await?.into_iter().map(Into::into).collect())
    }
}
