//! Attempts that the payer makes, on a page of the provider.

use super::{AttemptStatus, CHECK_SECONDS, PaymentAttempt, rows};
use crate::{
    id::{InvoiceId, PaymentAttemptId},
    invoice::{InvoiceStatus, locked},
    payment::account,
    store::{Store, StoreError},
    time::Micros,
};

/// Stands for the saved method of an attempt that the payer makes.
const METHOD: &str = "page";

impl Store {
    /// Begins an attempt that the payer makes on a page of the provider, of which nothing is known yet.
    /// One that has not ended is given as it is. A conflict: an invoice of which nothing is open, a
    /// tenant that the provider does not know, an attempt that charges the saved method.
    pub async fn begin_page_payment(
        &self,
        invoice: InvoiceId,
        provider: &str,
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, invoice).await?;
        if let Some(open) = rows::open_of(change.connection(), invoice.id).await? {
            if open.is_by_page() {
                return Ok(open);
            }
            let reason = format!("{} charges the saved method at the moment: ask again once it has ended", open.id);
            return Err(StoreError::conflict(reason));
        }
        if invoice.status != InvoiceStatus::Finalized || invoice.open.minor() <= 0 {
            return Err(StoreError::conflict(format!("{} is {}: nothing is to be paid", invoice.id, invoice.status)));
        }
        let account = account::find(change.connection(), (invoice.issuer, invoice.tenant), provider).await?;
        let Some(account) = account else {
            return Err(StoreError::conflict(format!("{provider} does not know {}", invoice.tenant)));
        };
        let attempt = PaymentAttempt {
            id: PaymentAttemptId::generate(),
            issuer: invoice.issuer,
            tenant: invoice.tenant,
            invoice: invoice.id,
            provider: provider.to_owned(),
            customer: account.customer,
            method: METHOD.into(),
            amount: invoice.open,
            status: AttemptStatus::Created,
            intent: None,
            failure: None,
            page: None,
            action_url: None,
            created_at: now,
            updated_at: now,
            check_at: Some(now.plus_seconds(CHECK_SECONDS)),
        };
        rows::insert(change.connection(), &attempt).await?;
        change.commit().await?;
        Ok(attempt)
    }

    /// Keeps the page on which an attempt is made. A conflict: it has ended.
    pub async fn keep_payment_page(
        &self,
        id: PaymentAttemptId,
        (page, url): (&str, &str),
        now: Micros,
    ) -> Result<PaymentAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let attempt = rows::lock(&mut change, id).await?;
        if attempt.check_at.is_none() {
            return Err(StoreError::conflict(format!("{id} is {}: ask for another page", attempt.status)));
        }
        let (page, action_url) = (Some(page.to_owned()), Some(url.to_owned()));
        let after = PaymentAttempt { page, action_url, updated_at: now, ..attempt };
        rows::save(change.connection(), &after).await?;
        change.commit().await?;
        Ok(after)
    }
}

impl PaymentAttempt {
    /// Returns true if the payer makes it, on a page of the provider.
    pub fn is_by_page(&self) -> bool {
        self.method == METHOD
    }
}
