//! Numbers of documents: consecutive in each series of an issuer.
//!
//! Invariant: a number is taken in the transaction that writes the document, so one that fails
//! leaves no gap. Documents of one series are written one after the other.

use sqlx::{AnyConnection, Row as _};

use crate::{id::TenantId, store::StoreError};

/// Takes the next number of a series. The series is locked up to the end of the transaction.
pub(super) async fn next(connection: &mut AnyConnection, issuer: TenantId, series: &str) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO number_series (issuer_id, series, last_number) VALUES ($1, $2, 1) \
         ON CONFLICT (issuer_id, series) DO UPDATE SET last_number = number_series.last_number + 1 \
         RETURNING last_number",
    )
    .bind(issuer.to_string())
    .bind(series)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get("last_number")?)
}

/// The number as people read it.
pub(super) fn text(series: &str, number: i64) -> String {
    format!("{series}-{number:06}")
}
