//! Finding what an item of a payout stands for.

use sqlx::{AnyConnection, Row as _};

use super::{Payout, PayoutItem, PayoutItemKind, ToldPayoutItem};
use crate::store::StoreError;

/// Money that was booked under a provider's name of it.
struct Booked {
    id: String,
    currency: String,
    amount: i64,
}

/// Items with what they stand for. An item whose amount is not what was booked stands for nothing.
pub(super) async fn matched(
    connection: &mut AnyConnection,
    payout: &Payout,
    items: &[ToldPayoutItem],
) -> Result<Vec<PayoutItem>, StoreError> {
    let mut found = Vec::with_capacity(items.len());
    for told in items {
        let (matched, note) = match booked(connection, payout, told).await? {
            Ok(id) => (Some(id), None),
            Err(note) => (None, Some(note)),
        };
        found.push(PayoutItem { told: told.clone(), matched, note });
    }
    Ok(found)
}

/// The id of what an item stands for, or the reason for which there is none.
async fn booked(
    connection: &mut AnyConnection,
    payout: &Payout,
    told: &ToldPayoutItem,
) -> Result<Result<String, String>, StoreError> {
    if told.kind == PayoutItemKind::Fee {
        return Ok(Ok("fee".into()));
    }
    let Some(source) = &told.source else {
        return Ok(Err("the provider does not say what it is".into()));
    };
    let rows = match told.kind {
        PayoutItemKind::Payment => payments(connection, payout, source).await?,
        PayoutItemKind::Refund => refunds(connection, payout, source).await?,
        PayoutItemKind::Dispute => return dispute(connection, payout, source).await,
        PayoutItemKind::Payout => return refused_payout(connection, payout, source).await,
        PayoutItemKind::Fee | PayoutItemKind::Other => Vec::new(),
    };
    let Some(first) = rows.first() else {
        return Ok(Err(format!("nothing here is called {source}")));
    };
    let currency = told.amount.currency().code();
    let sum = rows.iter().try_fold(0_i64, |sum, row| sum.checked_add(row.amount));
    if rows.iter().any(|row| row.currency != currency) {
        return Ok(Err(format!("{} is in {} and this in {currency}", first.id, first.currency)));
    }
    if sum != Some(told.amount.minor()) {
        return Ok(Err(format!("{} has another amount", first.id)));
    }
    Ok(Ok(first.id.clone()))
}

/// A payment, and what of it went into a wallet.
async fn payments(connection: &mut AnyConnection, payout: &Payout, source: &str) -> Result<Vec<Booked>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, currency, amount FROM payments WHERE issuer_id = $1 AND method = $2 AND reference = $3 \
         AND refund_of IS NULL UNION ALL SELECT id, currency, amount FROM wallet_grants \
         WHERE issuer_id = $1 AND reference = $3 AND kind = 'paid'",
    )
    .bind(payout.issuer.to_string())
    .bind(&payout.provider)
    .bind(source)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

async fn refunds(connection: &mut AnyConnection, payout: &Payout, source: &str) -> Result<Vec<Booked>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, currency, amount FROM payments WHERE issuer_id = $1 AND method = $2 AND reference = $3 \
         AND refund_of IS NOT NULL",
    )
    .bind(payout.issuer.to_string())
    .bind(&payout.provider)
    .bind(source)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

/// A dispute. Its movements are posted as the provider tells them, so that they need not be compared.
async fn dispute(
    connection: &mut AnyConnection,
    payout: &Payout,
    source: &str,
) -> Result<Result<String, String>, StoreError> {
    let id = sqlx::query_scalar::<_, String>(
        "SELECT id FROM disputes WHERE issuer_id = $1 AND provider = $2 AND provider_dispute = $3",
    )
    .bind(payout.issuer.to_string())
    .bind(&payout.provider)
    .bind(source)
    .fetch_optional(connection)
    .await?;
    Ok(id.ok_or_else(|| format!("nothing here is called {source}")))
}

/// An earlier payout that was taken out of `bank` again.
async fn refused_payout(
    connection: &mut AnyConnection,
    payout: &Payout,
    source: &str,
) -> Result<Result<String, String>, StoreError> {
    let id = sqlx::query_scalar::<_, String>(
        "SELECT id FROM payouts WHERE issuer_id = $1 AND provider = $2 AND provider_payout = $3 AND status = 'failed' \
         AND reconciled_at IS NOT NULL",
    )
    .bind(payout.issuer.to_string())
    .bind(&payout.provider)
    .bind(source)
    .fetch_optional(connection)
    .await?;
    Ok(id.ok_or_else(|| format!("no payout that failed is called {source}")))
}

fn read(row: &sqlx::any::AnyRow) -> Result<Booked, StoreError> {
    Ok(Booked { id: row.try_get("id")?, currency: row.try_get("currency")?, amount: row.try_get("amount")? })
}
