//! Units that were used without a gateway having drawn them: they count against a quota all the
//! same, and beyond it they are owed.

use sqlx::AnyConnection;

use super::{
    QuotaKey,
    rows::{lock_quotas, write_quotas},
};
use crate::{store::StoreError, time::Micros};

/// Counts units as used, or gives them back if they are below zero. Keys come in their order, each
/// once.
pub(crate) async fn count_used(
    connection: &mut AnyConnection,
    used: &[(QuotaKey<'_>, i64)],
    now: Micros,
) -> Result<(), StoreError> {
    if used.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = used.iter().map(|(key, _)| *key).collect();
    let mut stands = lock_quotas(&mut *connection, &keys, now).await?;
    for ((_, units), stand) in used.iter().zip(&mut stands) {
        if *units < 0 { stand.give_back(units.saturating_neg()) } else { stand.owe(*units) }
    }
    let changed: Vec<_> = keys.into_iter().zip(stands).collect();
    write_quotas(connection, &changed, now).await
}

/// Returns true if anybody has drawn on the quota, or used of it.
pub(crate) async fn is_known(
    connection: &mut AnyConnection,
    (tenant, meter, source): QuotaKey<'_>,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM quota_grants WHERE tenant_id = $1 AND meter = $2 AND period = $3")
        .bind(tenant.to_string())
        .bind(meter.to_owned())
        .bind(source.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}
