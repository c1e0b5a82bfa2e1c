//! The rows of leases and quotas, locked in the order of their keys.

use std::collections::{BTreeSet, HashMap};

use sqlx::{AnyConnection, Row as _};

use super::{QuotaDraw, QuotaGrant, QuotaHolder, QuotaKey, QuotaRefund, stand::Stand, stored_units};
use crate::{
    id::TenantId,
    quota::QuotaSource,
    store::{
        StoreError,
        bulk::{self, Value},
        row::{corrupt, parsed},
    },
    time::Micros,
    usage::Life,
};

const INSERT_LEASES: &str = "INSERT INTO quota_leases (life, tenant_id, meter, period, drawn, used)";

const ADD_TO_LEASES: &str =
    "ON CONFLICT (life, tenant_id, meter, period) DO UPDATE SET drawn = quota_leases.drawn + excluded.drawn";

const INSERT_QUOTAS: &str =
    "INSERT INTO quota_grants (tenant_id, meter, period, granted, limit_units, owed, updated_at)";

/// Makes sure that there are leases, and locks them.
pub(super) async fn lock_leases(
    connection: &mut AnyConnection,
    holder: &QuotaHolder,
    draws: &[QuotaDraw<'_>],
) -> Result<(), StoreError> {
    let life = holder.life.to_string();
    sqlx::query("INSERT INTO quota_lives (life, lanes) VALUES ($1, $2) ON CONFLICT (life) DO NOTHING")
        .bind(life.clone())
        .bind(i64::from(holder.lanes))
        .execute(&mut *connection)
        .await?;
    let rows: Vec<_> = draws.iter().map(|draw| lease_row(&life, draw, 0)).collect();
    bulk::execute(connection, INSERT_LEASES, ADD_TO_LEASES, &rows).await
}

/// Writes what was granted, and what was used beyond, into locked leases.
pub(super) async fn add_to_leases<'g>(
    connection: &mut AnyConnection,
    holder: &QuotaHolder,
    grants: impl Iterator<Item = (&'g QuotaDraw<'g>, &'g QuotaGrant)>,
) -> Result<(), StoreError> {
    let life = holder.life.to_string();
    let drawn = grants.map(|(draw, grant)| (draw, grant.granted.saturating_add(draw.beyond)));
    let leases: Vec<_> =
        drawn.filter(|(_, drawn)| *drawn > 0).map(|(draw, drawn)| lease_row(&life, draw, drawn)).collect();
    bulk::execute(connection, INSERT_LEASES, ADD_TO_LEASES, &leases).await
}

/// Takes a refund off its lease.
pub(super) async fn shrink_lease(
    connection: &mut AnyConnection,
    life: &Life,
    refund: &QuotaRefund<'_>,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE quota_leases SET drawn = drawn - $1 \
         WHERE life = $2 AND tenant_id = $3 AND meter = $4 AND period = $5 AND drawn >= $1",
    )
    .bind(stored_units(refund.unused))
    .bind(life.to_string())
    .bind(refund.tenant.to_string())
    .bind(refund.meter)
    .bind(refund.source.to_string())
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let QuotaRefund { tenant, meter, source, unused } = refund;
    Err(StoreError::refused(format!("{life} has not drawn {unused} units of {meter} of {tenant} from {source}")))
}

/// Makes sure that there are quotas, locks them, so that nobody else changes them before this has
/// committed, and says how they stand, in the order of `keys`. Those have to be in order, each
/// once.
pub(crate) async fn lock_quotas(
    connection: &mut AnyConnection,
    keys: &[QuotaKey<'_>],
    now: Micros,
) -> Result<Vec<Stand>, StoreError> {
    let rows: Vec<_> = keys.iter().map(|key| quota_row(key, Stand { granted: 0, limit: 0, owed: 0 }, now)).collect();
    let locked = bulk::fetch(
        connection,
        INSERT_QUOTAS,
        "ON CONFLICT (tenant_id, meter, period) DO UPDATE SET updated_at = excluded.updated_at \
         RETURNING tenant_id, meter, period, granted, limit_units, owed",
        &rows,
    )
    .await
    .map_err(|error| unknown_tenant(keys, error))?;
    let mut stands: HashMap<(TenantId, String, QuotaSource), Stand> = HashMap::with_capacity(locked.len());
    for row in &locked {
        let stand =
            Stand { granted: row.try_get("granted")?, limit: row.try_get("limit_units")?, owed: row.try_get("owed")? };
        stands.insert((parsed(row, "tenant_id")?, row.try_get("meter")?, parsed(row, "period")?), stand);
    }
    let stand = |(tenant, meter, source): &QuotaKey<'_>| {
        let stand = stands.get(&(*tenant, (*meter).to_owned(), *source)).copied();
        stand.ok_or_else(|| corrupt("quota", format!("none of {tenant} to be locked")))
    };
    keys.iter().map(stand).collect()
}

/// Writes how locked quotas stand.
pub(crate) async fn write_quotas(
    connection: &mut AnyConnection,
    stands: &[(QuotaKey<'_>, Stand)],
    now: Micros,
) -> Result<(), StoreError> {
    let rows: Vec<_> = stands.iter().map(|(key, stand)| quota_row(key, *stand, now)).collect();
    bulk::execute(
        connection,
        INSERT_QUOTAS,
        "ON CONFLICT (tenant_id, meter, period) DO UPDATE SET granted = excluded.granted, \
         limit_units = excluded.limit_units, owed = excluded.owed",
        &rows,
    )
    .await
}

fn lease_row(life: &str, draw: &QuotaDraw<'_>, drawn: u64) -> [Value; 6] {
    [
        Value::Text(life.to_owned()),
        Value::Text(draw.tenant.to_string()),
        Value::Text(draw.meter.to_owned()),
        Value::Text(draw.source.to_string()),
        Value::Number(stored_units(drawn)),
        Value::Number(0),
    ]
}

fn quota_row((tenant, meter, source): &QuotaKey<'_>, stand: Stand, now: Micros) -> [Value; 7] {
    [
        Value::Text(tenant.to_string()),
        Value::Text((*meter).to_owned()),
        Value::Text(source.to_string()),
        Value::Number(stand.granted),
        Value::Number(stand.limit),
        Value::Number(stand.owed),
        Value::Number(now.0),
    ]
}

fn unknown_tenant(keys: &[QuotaKey<'_>], error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(reason) if reason.is_foreign_key_violation() => {
            let tenants: BTreeSet<_> = keys.iter().map(|(tenant, ..)| tenant.to_string()).collect();
            StoreError::not_found("tenant", &tenants.into_iter().collect::<Vec<_>>().join(" or "))
        }
        _ => error.into(),
    }
}
