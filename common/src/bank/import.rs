//! Importing a statement: each entry in a transaction of its own, with what follows from it.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{
    EntryStatus, OpenReason,
    record::{Incoming, payable},
    reference::{self, Candidate, Named},
    rows,
};
use crate::{
    bank::statement::{BankStatement, EntryKind, StatementEntry},
    id::{InvoiceId, TenantId},
    invoice::{Invoice, lock},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::parsed,
        scope,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

/// Most invoice numbers of one entry that are looked up.
const CANDIDATES_MAX: usize = 50;

/// Counts of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BankImport {
    /// Entries that were new and were recorded as payments.
    pub recorded: u64,
    /// Entries that were new and are left to a person.
    pub open: u64,
    /// Reversals among the open ones.
    pub reversals: u64,
    /// Entries that an earlier import had brought.
    pub known: u64,
    /// Entries of the file that take money away: nothing follows from them.
    pub debits: u64,
    /// Entries of the file that the bank has not booked: they come again.
    pub pending: u64,
}

/// Outcome of one entry.
enum Outcome {
    Known,
    Recorded,
    Open(OpenReason),
}

impl Store {
    /// Imports a statement for the issuer whose account it is. Entries that an earlier import has brought
    /// change nothing. Each new entry is written in one transaction with its payments: an import that
    /// was cut off can be run again, and goes on where it stopped.
    pub async fn import_bank_statement(
        &self,
        issuer: TenantId,
        statement: &BankStatement,
        now: Micros,
    ) -> Result<BankImport, StoreError> {
        let mut import = BankImport { debits: statement.debits, pending: statement.pending, ..BankImport::default() };
        self.require_tenant(issuer).await?;
        let series = self.number_series(issuer).await?;
        for entry in &statement.entries {
            match self.import_entry(issuer, &series, entry, now).await? {
                Outcome::Known => import.known += 1,
                Outcome::Recorded => import.recorded += 1,
                Outcome::Open(reason) => {
                    import.open += 1;
                    import.reversals += u64::from(reason == OpenReason::Reversal);
                }
            }
        }
        let mut change = self.begin_change(now).await?;
        let (subject_kind, subject) = ("tenant", issuer.to_string());
        let (action, after) = (AuditAction::BankStatementImport, state(&import)?);
        change.audit(Audited { action, subject_kind, subject, tenant: Some(issuer), before: None, after }).await?;
        change.commit().await?;
        Ok(import)
    }

    async fn import_entry(
        &self,
        issuer: TenantId,
        series: &[String],
        entry: &StatementEntry,
        now: Micros,
    ) -> Result<Outcome, StoreError> {
        let mut connection = self.pool.acquire().await?;
        if rows::is_known(&mut connection, issuer, &entry.fingerprint).await? {
            return Ok(Outcome::Known);
        }
        drop(connection);
        let mut change = self.begin_change(now).await?;
        let zone = tenants::present(&mut change, issuer).await?.tenant.zone.or_utc();
        let Some((seq, id)) = rows::insert(&mut change, issuer, entry).await? else { return Ok(Outcome::Known) };
        let outcome = match matched(&mut change, issuer, series, entry).await? {
            Err(reason) => {
                rows::set_status(&mut change, seq, EntryStatus::Open, Some(reason), None).await?;
                Outcome::Open(reason)
            }
            Ok(invoices) => {
                let received_at = zone.start_of(entry.booked_on).unwrap_or(now);
                let mut incoming = Incoming { seq, id, issuer, received_at, rest: entry.amount, uses: Vec::new() };
                for invoice in &invoices {
                    incoming.pay(&mut change, invoice).await?;
                }
                if let [only] = &invoices[..] {
                    let reason = format!("paid for {} beyond what was open", only.number);
                    incoming.keep(&mut change, only.tenant, &reason).await?;
                }
                rows::set_status(&mut change, seq, EntryStatus::Recorded, None, None).await?;
                Outcome::Recorded
            }
        };
        change.commit().await?;
        Ok(outcome)
    }

    /// The series in which an issuer has numbered documents.
    async fn number_series(&self, issuer: TenantId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT series FROM number_series WHERE issuer_id = $1 ORDER BY series")
            .bind(issuer.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row: &AnyRow| Ok(row.try_get("series")?)).collect()
    }
}

/// The locked invoices that an entry pays, or the reason for which a person has to say.
async fn matched(
    change: &mut ChangeTransaction,
    issuer: TenantId,
    series: &[String],
    entry: &StatementEntry,
) -> Result<Result<Vec<Invoice>, OpenReason>, StoreError> {
    if entry.kind != EntryKind::Credit {
        return Ok(Err(OpenReason::Reversal));
    }
    let named = match reference::find(entry.creditor_reference.as_deref(), &entry.text, series) {
        Named::Mistyped => return Ok(Err(OpenReason::ReferenceMistyped)),
        Named::Numbers(numbers) if numbers.is_empty() => return Ok(Err(OpenReason::NoReference)),
        Named::Numbers(numbers) if numbers.len() > CANDIDATES_MAX => return Ok(Err(OpenReason::SeveralInvoices)),
        Named::Numbers(numbers) => numbers,
    };
    let invoices = numbered(change, issuer, &named).await?;
    let currency = entry.amount.currency();
    let sum: i128 = invoices.iter().map(|invoice| i128::from(payable(invoice).minor())).sum();
    Ok(match &invoices[..] {
        [] => Err(OpenReason::UnknownInvoice),
        all if all.iter().any(|invoice| invoice.open.currency() != currency) => Err(OpenReason::CurrencyDiffers),
        [one] if payable(one).is_zero() => Err(OpenReason::InvoiceNotOpen),
        [_] => Ok(invoices),
        all if all.iter().any(|invoice| payable(invoice).is_zero()) => Err(OpenReason::SeveralInvoices),
        _ if sum == i128::from(entry.amount.minor()) => Ok(invoices),
        _ => Err(OpenReason::SeveralInvoices),
    })
}

/// Invoices of an issuer with these numbers, locked, as far as the actor may see them.
async fn numbered(
    change: &mut ChangeTransaction,
    issuer: TenantId,
    numbers: &BTreeSet<Candidate>,
) -> Result<Vec<Invoice>, StoreError> {
    let mut invoices = Vec::new();
    for (series, number) in numbers {
        let row = sqlx::query("SELECT id FROM invoices WHERE issuer_id = $1 AND series = $2 AND series_number = $3")
            .bind(issuer.to_string())
            .bind(series)
            .bind(*number)
            .fetch_optional(change.connection())
            .await?;
        let id: Option<InvoiceId> = row.as_ref().map(|row| parsed(row, "id")).transpose()?;
        let Some(id) = id else { continue };
        let invoice = lock(change.connection(), id).await?;
        let scope = change.scope();
        if scope::holds_tenant(change.connection(), scope, invoice.tenant).await? {
            invoices.push(invoice);
        }
    }
    Ok(invoices)
}
