//! Rows of bank entries.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{BankEntry, EntryFilter, EntryStatus, EntryUse, OpenReason};
use crate::{
    bank::statement::StatementEntry,
    id::{BankEntryId, TenantId},
    ledger::rows::currency,
    money::Money,
    store::{
        Page, PageRequest, Store, StoreError,
        row::{corrupt, instant, instant_or_null, parsed, parsed_or_null},
        scope,
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

macro_rules! select_entries {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, issuer_id, account, kind, currency, amount, booked_on, bank_reference, payer, \
             payer_account, creditor_reference, remittance, status, open_reason, reason, imported_at, resolved_at \
             FROM bank_entries ",
            $rest
        )
    };
}

impl Store {
    /// Bank entries of an issuer in pages, oldest first.
    pub async fn bank_entries(
        &self,
        issuer: TenantId,
        filter: EntryFilter,
        page: PageRequest,
    ) -> Result<Page<BankEntry>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, issuer).await?;
        let rows = sqlx::query(select_entries!(
            "WHERE issuer_id = $1 AND seq > $2 AND ($3 = '' OR status = $3) ORDER BY seq LIMIT $4"
        ))
        .bind(issuer.to_string())
        .bind(page.begin())
        .bind(filter.status.map(EntryStatus::as_str).unwrap_or_default())
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let found: Result<Vec<(i64, BankEntry)>, StoreError> =
            rows.iter().map(|row| Ok((row.try_get("seq")?, read(row)?))).collect();
        let mut found = found?;
        let (Some((first, _)), Some((last, _))) = (found.first(), found.last()) else { return Ok(page.page(found)) };
        let mut uses = uses_between(&mut connection, issuer, *first, *last).await?;
        for (seq, entry) in &mut found {
            entry.uses = uses.remove(seq).unwrap_or_default();
        }
        Ok(page.page(found))
    }

    /// A bank entry.
    pub async fn bank_entry(&self, id: BankEntryId) -> Result<BankEntry, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let (_, entry) = find(&mut connection, id).await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, entry.issuer).await? {
            return Ok(entry);
        }
        Err(StoreError::not_found("bank entry", &id))
    }

    /// Bank entries whose payments and grants do not sum to their amount; there are none.
    pub async fn bank_entry_faults(&self) -> Result<Vec<BankEntryId>, StoreError> {
        let rows = sqlx::query(
            "SELECT id FROM bank_entries LEFT JOIN bank_entry_uses ON entry_seq = seq \
             GROUP BY seq, id, status, bank_entries.amount HAVING COALESCE(SUM(bank_entry_uses.amount), 0) <> \
             CASE WHEN status IN ('recorded', 'assigned') THEN bank_entries.amount ELSE 0 END ORDER BY seq LIMIT 100",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| parsed(row, "id")).collect()
    }
}

/// Writes a new entry; none if the issuer has it already.
pub(super) async fn insert(
    change: &mut ChangeTransaction,
    issuer: TenantId,
    entry: &StatementEntry,
) -> Result<Option<(i64, BankEntryId)>, StoreError> {
    let (id, now) = (BankEntryId::generate(), change.now());
    let row = sqlx::query(
        "INSERT INTO bank_entries (id, issuer_id, fingerprint, account, kind, currency, amount, booked_on, \
         bank_reference, payer, payer_account, creditor_reference, remittance, status, open_reason, imported_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'open', 'no_reference', $14) \
         ON CONFLICT (issuer_id, fingerprint) DO NOTHING RETURNING seq",
    )
    .bind(id.to_string())
    .bind(issuer.to_string())
    .bind(&entry.fingerprint)
    .bind(&entry.account)
    .bind(entry.kind.as_str())
    .bind(entry.amount.currency().code())
    .bind(entry.amount.minor())
    .bind(entry.booked_on.to_string())
    .bind(entry.bank_reference.clone())
    .bind(entry.payer.clone())
    .bind(entry.payer_account.clone())
    .bind(entry.creditor_reference.clone())
    .bind(&entry.text)
    .bind(now.0)
    .fetch_optional(change.connection())
    .await?;
    row.map(|row| Ok((row.try_get("seq")?, id))).transpose()
}

/// Returns true if the issuer has the entry already.
pub(super) async fn is_known(
    connection: &mut AnyConnection,
    issuer: TenantId,
    fingerprint: &str,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 AS one FROM bank_entries WHERE issuer_id = $1 AND fingerprint = $2")
        .bind(issuer.to_string())
        .bind(fingerprint)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Writes what became of an entry.
pub(super) async fn set_status(
    change: &mut ChangeTransaction,
    seq: i64,
    status: EntryStatus,
    open_reason: Option<OpenReason>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let resolved_at = (status != EntryStatus::Open).then_some(change.now());
    sqlx::query("UPDATE bank_entries SET status = $1, open_reason = $2, reason = $3, resolved_at = $4 WHERE seq = $5")
        .bind(status.as_str())
        .bind(open_reason.map(OpenReason::as_str))
        .bind(reason.map(ToOwned::to_owned))
        .bind(resolved_at.map(|at: Micros| at.0))
        .bind(seq)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Writes where money of an entry went.
pub(super) async fn insert_use(
    change: &mut ChangeTransaction,
    seq: i64,
    place: i64,
    used: &EntryUse,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO bank_entry_uses (entry_seq, place, tenant_id, amount, payment_id, grant_id) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(seq)
    .bind(place)
    .bind(used.tenant.to_string())
    .bind(used.amount.minor())
    .bind(used.payment.map(|(_, payment)| payment.to_string()))
    .bind(used.grant.map(|grant| grant.to_string()))
    .execute(change.connection())
    .await?;
    Ok(())
}

/// An entry with its place, whoever asks.
pub(super) async fn find(connection: &mut AnyConnection, id: BankEntryId) -> Result<(i64, BankEntry), StoreError> {
    let row = sqlx::query(select_entries!("WHERE id = $1"))
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| StoreError::not_found("bank entry", &id))?;
    let (seq, mut entry) = (row.try_get("seq")?, read(&row)?);
    entry.uses = uses_between(connection, entry.issuer, seq, seq).await?.remove(&seq).unwrap_or_default();
    Ok((seq, entry))
}

/// Uses of an issuer's entries by their place, from one entry to another.
async fn uses_between(
    connection: &mut AnyConnection,
    issuer: TenantId,
    first: i64,
    last: i64,
) -> Result<HashMap<i64, Vec<EntryUse>>, StoreError> {
    let rows = sqlx::query(
        "SELECT entry_seq, bank_entry_uses.tenant_id AS tenant_id, bank_entry_uses.amount AS amount, \
         bank_entries.currency AS currency, payment_id, grant_id, invoice_id FROM bank_entry_uses \
         JOIN bank_entries ON bank_entries.seq = entry_seq LEFT JOIN payments ON payments.id = payment_id \
         WHERE bank_entries.issuer_id = $1 AND entry_seq >= $2 AND entry_seq <= $3 ORDER BY entry_seq, place",
    )
    .bind(issuer.to_string())
    .bind(first)
    .bind(last)
    .fetch_all(connection)
    .await?;
    let mut uses: HashMap<i64, Vec<EntryUse>> = HashMap::new();
    for row in &rows {
        uses.entry(row.try_get("entry_seq")?).or_default().push(read_use(row)?);
    }
    Ok(uses)
}

fn read_use(row: &AnyRow) -> Result<EntryUse, StoreError> {
    let (invoice, payment) = (parsed_or_null(row, "invoice_id")?, parsed_or_null(row, "payment_id")?);
    Ok(EntryUse {
        tenant: parsed(row, "tenant_id")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        payment: invoice.zip(payment),
        grant: parsed_or_null(row, "grant_id")?,
    })
}

fn read(row: &AnyRow) -> Result<BankEntry, StoreError> {
    let booked_on: String = row.try_get("booked_on")?;
    Ok(BankEntry {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        account: row.try_get("account")?,
        kind: parsed(row, "kind")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        booked_on: booked_on.parse().map_err(|error: String| corrupt("booked_on", error))?,
        bank_reference: row.try_get("bank_reference")?,
        payer: row.try_get("payer")?,
        payer_account: row.try_get("payer_account")?,
        creditor_reference: row.try_get("creditor_reference")?,
        text: row.try_get("remittance")?,
        status: parsed(row, "status")?,
        open_reason: parsed_or_null(row, "open_reason")?,
        reason: row.try_get("reason")?,
        uses: Vec::new(),
        imported_at: instant(row, "imported_at")?,
        resolved_at: instant_or_null(row, "resolved_at")?,
    })
}
