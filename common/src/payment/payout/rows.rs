//! Payouts and their items in the store.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Payout, PayoutItem, ToldPayoutItem};
use crate::{
    id::TenantId,
    ledger::rows::currency,
    money::{Currency, Money},
    store::{
        StoreError,
        bulk::{self, Value},
        row::{corrupt, instant, instant_or_null, parsed},
    },
};

macro_rules! select_payouts {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, issuer_id, provider, provider_payout, currency, amount, status, arrives_at, created_at, \
             updated_at, reconciled_at, unmatched, check_at FROM payouts ",
            $rest
        )
    };
}
pub(super) use select_payouts;

/// The payout that a provider knows by this name, which nobody else changes up to the end of the
/// transaction.
pub(super) async fn locked(
    connection: &mut AnyConnection,
    issuer: TenantId,
    provider: &str,
    name: &str,
) -> Result<Option<Payout>, StoreError> {
    sqlx::query("UPDATE payouts SET status = status WHERE issuer_id = $1 AND provider = $2 AND provider_payout = $3")
        .bind(issuer.to_string())
        .bind(provider)
        .bind(name)
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query(select_payouts!("WHERE issuer_id = $1 AND provider = $2 AND provider_payout = $3"))
        .bind(issuer.to_string())
        .bind(provider)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn insert(connection: &mut AnyConnection, payout: &Payout) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO payouts (id, issuer_id, provider, provider_payout, currency, amount, status, arrives_at, \
         created_at, updated_at, check_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(payout.id.to_string())
    .bind(payout.issuer.to_string())
    .bind(&payout.provider)
    .bind(&payout.provider_payout)
    .bind(payout.amount.currency().code())
    .bind(payout.amount.minor())
    .bind(payout.status.as_str())
    .bind(payout.arrives_at.0)
    .bind(payout.created_at.0)
    .bind(payout.updated_at.0)
    .bind(payout.check_at.map(|at| at.0))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn save(connection: &mut AnyConnection, payout: &Payout) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE payouts SET status = $1, arrives_at = $2, updated_at = $3, reconciled_at = $4, unmatched = $5, \
         check_at = $6 WHERE id = $7",
    )
    .bind(payout.status.as_str())
    .bind(payout.arrives_at.0)
    .bind(payout.updated_at.0)
    .bind(payout.reconciled_at.map(|at| at.0))
    .bind(i64::from(payout.unmatched))
    .bind(payout.check_at.map(|at| at.0))
    .bind(payout.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_items(
    connection: &mut AnyConnection,
    payout: &Payout,
    items: &[PayoutItem],
) -> Result<(), StoreError> {
    let text = |text: &Option<String>| text.clone().map_or(Value::NoText, Value::Text);
    let row = |item: &PayoutItem| {
        [
            Value::Text(payout.id.to_string()),
            Value::Text(item.told.id.clone()),
            Value::Text(item.told.kind.as_str().to_owned()),
            text(&item.told.source),
            Value::Number(item.told.amount.minor()),
            Value::Number(item.told.fee.minor()),
            text(&item.matched),
            text(&item.note),
        ]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    let head = "INSERT INTO payout_items (payout_id, id, kind, source, amount, fee, matched, note)";
    bulk::execute(connection, head, "", &rows).await
}

pub(super) fn read(row: &AnyRow) -> Result<Payout, StoreError> {
    let unmatched: i64 = row.try_get("unmatched")?;
    Ok(Payout {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        provider: row.try_get("provider")?,
        provider_payout: row.try_get("provider_payout")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        status: parsed(row, "status")?,
        arrives_at: instant(row, "arrives_at")?,
        created_at: instant(row, "created_at")?,
        updated_at: instant(row, "updated_at")?,
        reconciled_at: instant_or_null(row, "reconciled_at")?,
        unmatched: u32::try_from(unmatched).map_err(|error| corrupt("payout", error))?,
        check_at: instant_or_null(row, "check_at")?,
    })
}

pub(super) fn read_item(row: &AnyRow, currency: Currency) -> Result<PayoutItem, StoreError> {
    Ok(PayoutItem {
        told: ToldPayoutItem {
            id: row.try_get("id")?,
            kind: parsed(row, "kind")?,
            source: row.try_get("source")?,
            amount: Money::from_minor(row.try_get("amount")?, currency),
            fee: Money::from_minor(row.try_get("fee")?, currency),
        },
        matched: row.try_get("matched")?,
        note: row.try_get("note")?,
    })
}
