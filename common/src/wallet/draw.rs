//! Credit for invoices: drawn from grants in the order of use, and given back if the invoice is
//! voided.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    WalletKey, grant,
    rows::{self, Movement},
};
use crate::{
    id::{TenantId, WalletGrantId},
    ledger::{Account, CauseKind},
    money::Money,
    store::{
        Store, StoreError,
        row::{parsed, parsed_or_null},
    },
    time::Micros,
};

/// Credit that an invoice has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreditUse {
    /// The grant that it is from; none if the wallet went below its grants.
    pub grant: Option<WalletGrantId>,
    /// The money.
    pub amount: Money,
}

/// Uses credit of a tenant for an invoice, as far as there is some, and at most `upto`: a movement
/// for each grant, and one posting. The same invoice again changes nothing, and gets the same.
pub(crate) async fn use_credit(
    connection: &mut AnyConnection,
    (issuer, tenant): (TenantId, TenantId),
    upto: Money,
    invoice_id: &str,
    at: Micros,
) -> Result<Vec<CreditUse>, StoreError> {
    let key = WalletKey { issuer, tenant, currency: upto.currency() };
    if upto.minor() <= 0 || !rows::is_known(connection, &key).await? {
        return Ok(Vec::new());
    }
    let overdraft = rows::lock(connection, &key, at).await?;
    let before = moved(connection, invoice_id, Movement::Use).await?;
    if !before.is_empty() {
        return Ok(before.into_iter().map(|(_, used)| used).collect());
    }
    let mut wanted = upto.minor();
    let mut uses = Vec::new();
    for usable in rows::usable(connection, &key, at).await? {
        take(&mut uses, &mut wanted, Some(usable.grant), usable.left, &key);
    }
    let beyond = rows::beside_grants(connection, &key).await?.saturating_add(overdraft);
    take(&mut uses, &mut wanted, None, beyond, &key);
    let total = upto.minor() - wanted;
    if total == 0 {
        return Ok(uses);
    }
    for CreditUse { grant, amount } in &uses {
        let movement = (*grant, Movement::Use, -amount.minor());
        rows::move_money(connection, &key, movement, Some(invoice_id), at).await?;
    }
    let posted = (format!("credit_use:{invoice_id}"), CauseKind::CreditUse, invoice_id.to_owned());
    rows::post_credit(connection, &key, posted, (total, Account::Receivable), at).await?;
    Ok(uses)
}

/// Gives back the credit that an invoice has used, as it is voided; to a grant that was voided
/// itself, it is taken back at once. The same invoice again changes nothing.
pub(crate) async fn return_credit(
    connection: &mut AnyConnection,
    invoice_id: &str,
    at: Micros,
) -> Result<Vec<CreditUse>, StoreError> {
    let drawn = moved(connection, invoice_id, Movement::Use).await?;
    let Some((key, _)) = drawn.first() else { return Ok(Vec::new()) };
    let key = *key;
    rows::lock(connection, &key, at).await?;
    let uses: Vec<CreditUse> = drawn.into_iter().map(|(_, used)| used).collect();
    if !moved(connection, invoice_id, Movement::Return).await?.is_empty() {
        return Ok(uses);
    }
    let mut total = 0_i64;
    for CreditUse { grant, amount } in &uses {
        total = total.saturating_add(amount.minor());
        let movement = (*grant, Movement::Return, amount.minor());
        rows::move_money(connection, &key, movement, Some(invoice_id), at).await?;
    }
    let posted = (format!("credit_return:{invoice_id}"), CauseKind::CreditUse, invoice_id.to_owned());
    rows::post_credit(connection, &key, posted, (-total, Account::Receivable), at).await?;
    for id in uses.iter().filter_map(|used| used.grant) {
        let returned = rows::grant(connection, id).await?;
        if returned.voided_at.is_some() {
            grant::void_rest(connection, &returned, at).await?;
        }
    }
    repay(connection, &key, at).await?;
    Ok(uses)
}

/// Pays from grants, in the order of use, what was used beyond them. The balance stays.
pub(super) async fn repay(connection: &mut AnyConnection, key: &WalletKey, at: Micros) -> Result<(), StoreError> {
    let mut owed = rows::beside_grants(connection, key).await?.saturating_neg();
    if owed <= 0 {
        return Ok(());
    }
    for usable in rows::usable(connection, key, at).await? {
        let paid = usable.left.min(owed);
        if paid > 0 {
            owed -= paid;
            rows::move_money(connection, key, (Some(usable.grant), Movement::Repay, -paid), None, at).await?;
            rows::move_money(connection, key, (None, Movement::Repay, paid), None, at).await?;
        }
    }
    Ok(())
}

fn take(uses: &mut Vec<CreditUse>, wanted: &mut i64, grant: Option<WalletGrantId>, left: i64, key: &WalletKey) {
    let taken = left.min(*wanted);
    if taken > 0 {
        *wanted -= taken;
        uses.push(CreditUse { grant, amount: Money::from_minor(taken, key.currency) });
    }
}

/// Movements of a kind for an invoice, in their order, as amounts above zero.
async fn moved(
    connection: &mut AnyConnection,
    invoice_id: &str,
    kind: Movement,
) -> Result<Vec<(WalletKey, CreditUse)>, StoreError> {
    let rows = sqlx::query(
        "SELECT issuer_id, tenant_id, currency, grant_id, amount FROM wallet_movements \
         WHERE invoice_id = $1 AND kind = $2 ORDER BY seq",
    )
    .bind(invoice_id.to_owned())
    .bind(if kind == Movement::Use { "use" } else { "return" })
    .fetch_all(connection)
    .await?;
    let read = |row: &AnyRow| {
        let currency = rows::currency(row)?;
        let amount: i64 = row.try_get("amount")?;
        let key = WalletKey { issuer: parsed(row, "issuer_id")?, tenant: parsed(row, "tenant_id")?, currency };
        let grant = parsed_or_null(row, "grant_id")?;
        Ok((key, CreditUse { grant, amount: Money::from_minor(amount.saturating_abs(), currency) }))
    };
    rows.iter().map(read).collect()
}

impl Store {
    /// Uses credit for an invoice in a transaction of its own.
    pub async fn use_money(
        &self,
        (issuer, tenant): (TenantId, TenantId),
        upto: Money,
        invoice_id: &str,
        at: Micros,
    ) -> Result<Vec<CreditUse>, StoreError> {
        let mut write = self.begin_write().await?;
        let uses = use_credit(write.connection(), (issuer, tenant), upto, invoice_id, at).await?;
        write.commit().await?;
        Ok(uses)
    }

    /// Gives back the credit of a voided invoice in a transaction of its own.
    pub async fn return_money(&self, invoice_id: &str, at: Micros) -> Result<Vec<CreditUse>, StoreError> {
        let mut write = self.begin_write().await?;
        let uses = return_credit(write.connection(), invoice_id, at).await?;
        write.commit().await?;
        Ok(uses)
    }
}
