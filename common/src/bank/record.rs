//! Recording what an entry brings: payments of invoices, and money in a wallet.

use super::{BANK_TRANSFER, EntryUse, rows};
use crate::{
    id::{BankEntryId, TenantId},
    invoice::{Invoice, InvoiceStatus},
    money::Money,
    payment::record::{NewPayment, record},
    store::{StoreError, transaction::ChangeTransaction},
    time::Micros,
    wallet::{GrantKind, NewWalletGrant, PRIORITY_DEFAULT, WalletKey, grant},
};

/// An entry that brings money, while that is given out.
pub(super) struct Incoming {
    pub(super) seq: i64,
    pub(super) id: BankEntryId,
    pub(super) issuer: TenantId,
    pub(super) received_at: Micros,
    pub(super) rest: Money,
    pub(super) uses: Vec<EntryUse>,
}

/// The part of an invoice that is to be paid.
pub(super) fn payable(invoice: &Invoice) -> Money {
    let open = if invoice.status == InvoiceStatus::Finalized { invoice.open.minor().max(0) } else { 0 };
    Money::from_minor(open, invoice.open.currency())
}

impl Incoming {
    /// Pays a locked invoice as far as the money goes.
    pub(super) async fn pay(&mut self, change: &mut ChangeTransaction, invoice: &Invoice) -> Result<(), StoreError> {
        let amount = Money::from_minor(self.rest.minor().min(payable(invoice).minor()), self.rest.currency());
        let new = NewPayment {
            invoice: invoice.id,
            amount,
            method: BANK_TRANSFER.to_owned(),
            reference: self.reference(),
            received_at: self.received_at,
        };
        let payment = record(change, invoice, &new).await?;
        let used = EntryUse { tenant: invoice.tenant, amount, payment: Some((invoice.id, payment.id)), grant: None };
        self.note(change, used).await
    }

    /// Puts what is left into a tenant's wallet with the issuer.
    pub(super) async fn keep(
        &mut self,
        change: &mut ChangeTransaction,
        tenant: TenantId,
        reason: &str,
    ) -> Result<(), StoreError> {
        if self.rest.is_zero() {
            return Ok(());
        }
        let key = WalletKey { issuer: self.issuer, tenant, currency: self.rest.currency() };
        let new = NewWalletGrant {
            issuer: Some(self.issuer),
            tenant,
            amount: self.rest,
            kind: GrantKind::Paid,
            priority: PRIORITY_DEFAULT,
            expires_at: None,
            reference: self.reference(),
            reason: Some(reason.to_owned()),
        };
        let now = change.now();
        let granted = grant::insert(change.connection(), &key, &new, now).await?;
        let used = EntryUse { tenant, amount: self.rest, payment: None, grant: Some(granted.id) };
        self.note(change, used).await
    }

    /// The reference of the next payment or grant: the entry's id, with a number from the second on.
    fn reference(&self) -> String {
        match self.uses.len() {
            0 => self.id.to_string(),
            others => format!("{}:{}", self.id, others + 1),
        }
    }

    async fn note(&mut self, change: &mut ChangeTransaction, used: EntryUse) -> Result<(), StoreError> {
        let place = i64::try_from(self.uses.len()).unwrap_or(i64::MAX);
        rows::insert_use(change, self.seq, place, &used).await?;
        self.rest =
            self.rest.checked_sub(used.amount).map_err(|error| StoreError::refused(format!("amount: {error}")))?;
        self.uses.push(used);
        Ok(())
    }
}
