//! Numbers of documents: consecutive in each series of an issuer.
//!
//! Invariant: a number is taken in the transaction that writes the document, so one that fails
//! leaves no gap. Documents of one series are written one after the other.

use sqlx::{AnyConnection, Row as _};

use crate::{id::TenantId, store::StoreError};

/// Takes the next number of a series. The series is locked up to the end of the transaction.
pub(super) async fn next(connection: &mut AnyConnection, issuer: TenantId, series: &str) -> Result<i64, StoreError> {
    take(connection, issuer, series, 1).await
}

/// Takes the next `count` numbers of a series, at least one, and gives the first of them. The series
/// is locked up to the end of the transaction.
pub(super) async fn take(
    connection: &mut AnyConnection,
    issuer: TenantId,
    series: &str,
    count: i64,
) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO number_series (issuer_id, series, last_number) VALUES ($1, $2, $3) \
         ON CONFLICT (issuer_id, series) DO UPDATE SET last_number = number_series.last_number + excluded.last_number \
         RETURNING last_number",
    )
    .bind(issuer.to_string())
    .bind(series)
    .bind(count)
    .fetch_one(connection)
    .await?;
    let last: i64 = row.try_get("last_number")?;
    Ok(last - count + 1)
}

/// The number as people read it.
pub(super) fn text(series: &str, number: i64) -> String {
    format!("{series}-{number:06}")
}
