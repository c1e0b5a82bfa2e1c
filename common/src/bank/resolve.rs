//! Decisions of a person about an open entry.

use serde::Serialize;

use super::{
    BankEntry, EntryStatus,
    record::{Incoming, payable},
    rows,
};
use crate::{
    bank::statement::EntryKind,
    id::{BankEntryId, InvoiceId, TenantId},
    invoice::{check_reason, locked},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
    wallet::grant,
};

/// The thing that an entry pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryTarget {
    /// An invoice of the issuer; what is more than is open goes into the wallet of its buyer.
    Invoice(InvoiceId),
    /// The wallet of a tenant that the issuer sells to.
    Wallet(TenantId),
}

impl Store {
    /// Says what an open entry pays. The same again changes nothing. A conflict: an entry that is decided
    /// otherwise, a reversal, an invoice of which nothing is to be paid. Refused: an invoice of another
    /// issuer or currency, a tenant that the issuer does not sell to.
    pub async fn assign_bank_entry(
        &self,
        id: BankEntryId,
        target: EntryTarget,
        now: Micros,
    ) -> Result<BankEntry, StoreError> {
        let mut change = self.begin_change(now).await?;
        let (seq, entry) = locked_entry(&mut change, id).await?;
        if entry.status == EntryStatus::Assigned && entry.went_to(target) {
            return Ok(entry);
        }
        entry.require_open()?;
        if entry.kind != EntryKind::Credit {
            let kind = entry.kind;
            return Err(StoreError::conflict(format!(
                "{id} is a {kind} and brings no payment: record what follows by hand, and ignore it with a reason"
            )));
        }
        let issuer = entry.issuer;
        let issuing = tenants::present(&mut change, issuer).await?.tenant;
        let received_at = issuing.zone.or_utc().start_of(entry.booked_on).unwrap_or(now);
        let mut incoming = Incoming { seq, id, issuer, received_at, rest: entry.amount, uses: Vec::new() };
        match target {
            EntryTarget::Invoice(invoice) => pay(&mut change, &mut incoming, invoice).await?,
            EntryTarget::Wallet(tenant) => {
                tenants::present(&mut change, tenant).await?;
                grant::issuer(&mut change, tenant, Some(issuer)).await?;
                incoming.keep(&mut change, tenant, "a bank transfer that names no invoice").await?;
            }
        }
        rows::set_status(&mut change, seq, EntryStatus::Assigned, entry.open_reason, None).await?;
        let after = serde_json::json!({ "status": EntryStatus::Assigned, "target": target });
        finish(change, &entry, AuditAction::BankEntryAssign, &after).await
    }

    /// Says that nothing follows from an open entry. The same again changes nothing. Refused: an empty
    /// reason. A conflict: an entry that is decided otherwise.
    pub async fn ignore_bank_entry(&self, id: BankEntryId, reason: &str, now: Micros) -> Result<BankEntry, StoreError> {
        check_reason(reason)?;
        let mut change = self.begin_change(now).await?;
        let (seq, entry) = locked_entry(&mut change, id).await?;
        if entry.status == EntryStatus::Ignored && entry.reason.as_deref() == Some(reason) {
            return Ok(entry);
        }
        entry.require_open()?;
        rows::set_status(&mut change, seq, EntryStatus::Ignored, entry.open_reason, Some(reason)).await?;
        let after = serde_json::json!({ "status": EntryStatus::Ignored, "reason": reason });
        finish(change, &entry, AuditAction::BankEntryIgnore, &after).await
    }
}

impl BankEntry {
    fn require_open(&self) -> Result<(), StoreError> {
        if self.status == EntryStatus::Open {
            return Ok(());
        }
        Err(StoreError::conflict(format!("{} is {}: only an open entry is decided", self.id, self.status)))
    }

    /// Returns true if the entry was given to this target.
    fn went_to(&self, target: EntryTarget) -> bool {
        self.uses.first().is_some_and(|first| match target {
            EntryTarget::Invoice(invoice) => first.payment.is_some_and(|(paid, _)| paid == invoice),
            EntryTarget::Wallet(tenant) => first.payment.is_none() && first.tenant == tenant,
        })
    }
}

/// An entry in the actor's scope. Nobody else changes it: there is one change at a time.
async fn locked_entry(change: &mut ChangeTransaction, id: BankEntryId) -> Result<(i64, BankEntry), StoreError> {
    let (seq, entry) = rows::find(change.connection(), id).await?;
    change.require(entry.issuer, "bank entry", &id).await?;
    Ok((seq, entry))
}

async fn pay(change: &mut ChangeTransaction, incoming: &mut Incoming, id: InvoiceId) -> Result<(), StoreError> {
    let invoice = locked(change, id).await?;
    if invoice.issuer != incoming.issuer {
        return Err(StoreError::refused(format!("invoice: {id} is not issued by {}", incoming.issuer)));
    }
    if invoice.open.currency() != incoming.rest.currency() {
        let (owed, came) = (invoice.open.currency().code(), incoming.rest.currency().code());
        return Err(StoreError::refused(format!("invoice: {id} is owed in {owed}, and {came} came")));
    }
    if payable(&invoice).is_zero() {
        let (status, tenant) = (invoice.status, invoice.tenant);
        return Err(StoreError::conflict(format!(
            "{id} is {status}, and nothing of it is open: assign the entry to the wallet of {tenant} instead"
        )));
    }
    incoming.pay(change, &invoice).await?;
    incoming.keep(change, invoice.tenant, &format!("paid for {} beyond what was open", invoice.number)).await
}

async fn finish(
    mut change: ChangeTransaction,
    entry: &BankEntry,
    action: AuditAction,
    after: &serde_json::Value,
) -> Result<BankEntry, StoreError> {
    let (subject_kind, subject, tenant, after) =
        ("bank_entry", entry.id.to_string(), Some(entry.issuer), state(after)?);
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after }).await?;
    let (_, entry) = rows::find(change.connection(), entry.id).await?;
    change.commit().await?;
    Ok(entry)
}
