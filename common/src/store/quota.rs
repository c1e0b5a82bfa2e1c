//! Hard quotas and prepaid credit: blocks of units drawn from one row per tenant, meter and month, or of credit.
//!
//! Sum of grants - refunds <= limit, always, whatever the number of gateways: the row is the only source. Each life of a
//! gateway has a lease of what it has drawn; a graceful refund makes it smaller, and what is left of it when the life has
//! ended goes back as its last usage is booked ([`super::booking`]). Leases are locked before quotas, each kind by its key.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

use sqlx::{AnyConnection, Row as _};

use super::{
    Store, StoreError,
    booking::{Value, insert_rows, insert_rows_returning},
    row::{corrupt, count, parsed},
};
use crate::{
    id::TenantId,
    time::{Micros, Period, TimeError},
    usage::Life,
};

/// Who draws units: a life of a gateway, and how many streams it writes. What it holds can be settled once all of them
/// have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaHolder {
    /// The life.
    pub life: Life,
    /// Its streams: lanes 0 to one less than this.
    pub lanes: u16,
}

/// What units are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaSource {
    /// A month's quota.
    Month(Period),
    /// Credit that was paid for in advance. It has no month and runs out by use alone.
    Credit,
}

/// Units that are wanted of one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaDraw<'a> {
    /// Whose quota.
    pub tenant: TenantId,
    /// What is counted.
    pub meter: &'a str,
    /// What they are drawn from.
    pub source: QuotaSource,
    /// Units that all together may use in the month. The limit of credit is what was paid for, whatever stands here.
    pub limit: u64,
    /// Units to draw, as far as `limit` leaves them.
    pub wanted: u64,
}

/// What came of a [`QuotaDraw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaGrant {
    /// Units drawn; 0 once the quota is spent.
    pub granted: u64,
    /// Units that could still be drawn just then, by anybody.
    pub left: u64,
}

/// Units that were drawn and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRefund<'a> {
    /// Whose quota.
    pub tenant: TenantId,
    /// What is counted.
    pub meter: &'a str,
    /// What they are drawn from.
    pub source: QuotaSource,
    /// How many.
    pub unused: u64,
}

/// What a life of a gateway has drawn of a quota, and what its booked usage has used of that.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuotaLease {
    /// The life, as its streams begin: `gateway/boot`.
    pub life: String,
    /// Whose quota.
    pub tenant: TenantId,
    /// What is counted.
    pub meter: String,
    /// What they are drawn from.
    pub source: QuotaSource,
    /// Units drawn and not given back.
    pub drawn: u64,
    /// Units used.
    pub used: u64,
}

/// What stands in a period's place for credit.
const CREDIT: &str = "prepaid";

/// What tells quotas apart, in the order in which their rows are locked.
type QuotaKey<'a> = (TenantId, &'a str, QuotaSource);

impl Store {
    /// Draws from several quotas of which none is named twice: all of it in one transaction, or nothing. Says what was
    /// granted, in their order: never beyond a limit, also when it was lowered below what is out.
    pub async fn draw_quotas(
        &self,
        holder: &QuotaHolder,
        draws: &[QuotaDraw<'_>],
        now: Micros,
    ) -> Result<Vec<QuotaGrant>, StoreError> {
        let mut ordered = draws.to_vec();
        ordered.sort_by_key(QuotaDraw::key);
        if ordered.windows(2).any(|pair| pair[0].key() == pair[1].key()) {
            return Err(StoreError::refused("one quota cannot be drawn from twice at once"));
        }
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        lock_leases(connection, holder, &ordered).await?;
        let stands = lock_quotas(connection, &ordered, now).await?;
        let grant = |draw: &QuotaDraw<'_>| {
            let stand = stands.get(&(draw.tenant, draw.meter.to_owned(), draw.source));
            let stand = stand.ok_or_else(|| corrupt("quota", format!("none of {} to be locked", draw.tenant)))?;
            Ok::<_, StoreError>(stand.grant(draw.wanted))
        };
        let grants = ordered.iter().map(grant).collect::<Result<Vec<_>, _>>()?;
        if grants.iter().any(|grant| grant.granted > 0) {
            add_grants(connection, holder, ordered.iter().zip(&grants), now).await?;
            write.commit().await?;
        }
        draws.iter().map(grant).collect()
    }

    /// Gives back units that the life has drawn and not used: all of it, or nothing. Refused: more than it has drawn.
    pub async fn refund_quotas(&self, life: &Life, refunds: &[QuotaRefund<'_>], now: Micros) -> Result<(), StoreError> {
        let mut refunds: Vec<_> = refunds.iter().filter(|refund| refund.unused > 0).copied().collect();
        refunds.sort_by_key(|refund| (refund.tenant, refund.meter, refund.source));
        let mut write = self.begin_write().await?;
        for refund in &refunds {
            shrink_lease(write.connection(), life, refund).await?;
        }
        for refund in &refunds {
            shrink_grants(write.connection(), refund, now).await?;
        }
        write.commit().await
    }

    /// Every lease there is, by life and quota.
    pub async fn quota_leases(&self) -> Result<Vec<QuotaLease>, StoreError> {
        let rows = sqlx::query(
            "SELECT life, tenant_id, meter, period, drawn, used FROM quota_leases \
             ORDER BY life, tenant_id, meter, period",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(QuotaLease {
                    life: row.try_get("life")?,
                    tenant: parsed(row, "tenant_id")?,
                    meter: row.try_get("meter")?,
                    source: parsed(row, "period")?,
                    drawn: count(row, "drawn")?,
                    used: count(row, "used")?,
                })
            })
            .collect()
    }

    /// Units of a quota that are drawn or used: what was granted less what was given back.
    pub async fn quota_granted(&self, tenant: TenantId, meter: &str, source: QuotaSource) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT granted FROM quota_grants WHERE tenant_id = $1 AND meter = $2 AND period = $3")
            .bind(tenant.to_string())
            .bind(meter)
            .bind(source.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map_or(Ok(0), |row| count(&row, "granted"))
    }
}

impl<'a> QuotaDraw<'a> {
    const fn key(&self) -> QuotaKey<'a> {
        (self.tenant, self.meter, self.source)
    }
}

/// How a quota stands.
#[derive(Debug, Clone, Copy)]
struct Stand {
    granted: i64,
    limit: i64,
}

impl Stand {
    /// What can be granted of `wanted` units.
    fn grant(self, wanted: u64) -> QuotaGrant {
        let left = self.limit.saturating_sub(self.granted).max(0);
        let granted = left.min(stored_units(wanted));
        QuotaGrant { granted: granted.unsigned_abs(), left: (left - granted).unsigned_abs() }
    }
}

impl fmt::Display for QuotaSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Month(period) => period.fmt(formatter),
            Self::Credit => formatter.pad(CREDIT),
        }
    }
}

impl FromStr for QuotaSource {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if text == CREDIT { Ok(Self::Credit) } else { text.parse().map(Self::Month) }
    }
}

impl serde::Serialize for QuotaSource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Makes sure that there are leases, and locks them.
async fn lock_leases(
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
    insert_rows(connection, INSERT_LEASES, ADD_TO_LEASES, &rows).await
}

const INSERT_LEASES: &str = "INSERT INTO quota_leases (life, tenant_id, meter, period, drawn, used)";

const ADD_TO_LEASES: &str =
    "ON CONFLICT (life, tenant_id, meter, period) DO UPDATE SET drawn = quota_leases.drawn + excluded.drawn";

const INSERT_QUOTAS: &str = "INSERT INTO quota_grants (tenant_id, meter, period, granted, limit_units, updated_at)";

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

fn quota_row(draw: &QuotaDraw<'_>, granted: u64, now: Micros) -> [Value; 6] {
    let limit = match draw.source {
        QuotaSource::Month(_) => stored_units(draw.limit),
        QuotaSource::Credit => 0,
    };
    [
        Value::Text(draw.tenant.to_string()),
        Value::Text(draw.meter.to_owned()),
        Value::Text(draw.source.to_string()),
        Value::Number(stored_units(granted)),
        Value::Number(limit),
        Value::Number(now.0),
    ]
}

/// Makes sure that there are quotas, locks them, so that nobody else draws before this has committed, and gives what is
/// granted of each.
async fn lock_quotas(
    connection: &mut AnyConnection,
    draws: &[QuotaDraw<'_>],
    now: Micros,
) -> Result<HashMap<(TenantId, String, QuotaSource), Stand>, StoreError> {
    let rows: Vec<_> = draws.iter().map(|draw| quota_row(draw, 0, now)).collect();
    let locked = insert_rows_returning(
        connection,
        INSERT_QUOTAS,
        "ON CONFLICT (tenant_id, meter, period) DO UPDATE \
         SET limit_units = CASE WHEN excluded.period = 'prepaid' THEN quota_grants.limit_units \
         ELSE excluded.limit_units END, updated_at = excluded.updated_at \
         RETURNING tenant_id, meter, period, granted, limit_units",
        &rows,
    )
    .await
    .map_err(|error| unknown_tenant(draws, error))?;
    locked
        .iter()
        .map(|row| {
            let key = (parsed(row, "tenant_id")?, row.try_get("meter")?, parsed(row, "period")?);
            Ok((key, Stand { granted: row.try_get("granted")?, limit: row.try_get("limit_units")? }))
        })
        .collect()
}

/// Writes what was granted into locked rows.
async fn add_grants<'g>(
    connection: &mut AnyConnection,
    holder: &QuotaHolder,
    grants: impl Iterator<Item = (&'g QuotaDraw<'g>, &'g QuotaGrant)> + Clone,
    now: Micros,
) -> Result<(), StoreError> {
    let life = holder.life.to_string();
    let granted = grants.filter(|(_, grant)| grant.granted > 0);
    let leases: Vec<_> = granted.clone().map(|(draw, grant)| lease_row(&life, draw, grant.granted)).collect();
    insert_rows(connection, INSERT_LEASES, ADD_TO_LEASES, &leases).await?;
    let quotas: Vec<_> = granted.map(|(draw, grant)| quota_row(draw, grant.granted, now)).collect();
    insert_rows(
        connection,
        INSERT_QUOTAS,
        "ON CONFLICT (tenant_id, meter, period) DO UPDATE SET granted = quota_grants.granted + excluded.granted",
        &quotas,
    )
    .await
}

async fn shrink_lease(connection: &mut AnyConnection, life: &Life, refund: &QuotaRefund<'_>) -> Result<(), StoreError> {
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

async fn shrink_grants(
    connection: &mut AnyConnection,
    refund: &QuotaRefund<'_>,
    now: Micros,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE quota_grants SET granted = granted - $1, updated_at = $2 \
         WHERE tenant_id = $3 AND meter = $4 AND period = $5 AND granted >= $1",
    )
    .bind(stored_units(refund.unused))
    .bind(now.0)
    .bind(refund.tenant.to_string())
    .bind(refund.meter)
    .bind(refund.source.to_string())
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(corrupt("quota", format!("less is granted to {} than its leases hold", refund.tenant)))
}

/// The store counts to 63 bits; what is beyond can never be drawn.
fn stored_units(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

fn unknown_tenant(draws: &[QuotaDraw<'_>], error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(reason) if reason.is_foreign_key_violation() => {
            let tenants: BTreeSet<_> = draws.iter().map(|draw| draw.tenant.to_string()).collect();
            StoreError::not_found("tenant", &tenants.into_iter().collect::<Vec<_>>().join(" or "))
        }
        _ => error.into(),
    }
}
