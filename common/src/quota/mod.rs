//! Hard quotas and prepaid credit: blocks of units drawn from one row per tenant, meter and month,
//! or of credit.
//!
//! Sum of grants - refunds <= limit, always, whatever the number of gateways: the row is the only
//! source. Each life of a gateway has a lease of what it has drawn; a graceful refund makes it
//! smaller, and what is left of it when the life has ended goes back as its last usage is booked
//! ([`crate::usage::booking`]). What answers used beyond what there was is owed ([`stand`]). Leases are
//! locked before quotas, each kind by its key, so by tenant first: gateways draw from a tenant's
//! quota and from those of the tenants above it at once, and none waits for another in a ring.

pub mod credit;
pub(crate) mod rows;
pub(crate) mod stand;
pub mod thresholds;
pub(crate) mod used;

use std::{fmt, str::FromStr};

use sqlx::Row as _;

use self::{
    rows::{lock_quotas, write_quotas},
    stand::Stand,
};
use crate::{
    id::TenantId,
    store::{
        Store, StoreError,
        row::{corrupt, count, parsed},
    },
    time::{Micros, Period, TimeError},
    usage::Life,
};

/// The holder of drawn units: a life of a gateway, and the number of its streams. Its leases can be
/// closed once all streams have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaHolder {
    /// The life.
    pub life: Life,
    /// Its streams: lanes 0 to one less than this.
    pub lanes: u16,
}

/// Source that units are drawn from.
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
    /// Meter that is counted.
    pub meter: &'a str,
    /// Source that they are drawn from.
    pub source: QuotaSource,
    /// Units that all together may use in the month. The limit of credit is what was paid for,
    /// whatever stands here.
    pub limit: u64,
    /// Units to draw, as far as `limit` leaves them.
    pub wanted: u64,
    /// Units that answers have used beyond what was drawn: they are granted before anything else,
    /// and owed as far as `limit` does not leave them.
    pub beyond: u64,
}

/// Result of a [`QuotaDraw`].
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
    /// Meter that is counted.
    pub meter: &'a str,
    /// Source that they are drawn from.
    pub source: QuotaSource,
    /// Units to give back.
    pub unused: u64,
}

/// Units that a life of a gateway has drawn from a quota, and the part of them that its booked
/// usage has used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuotaLease {
    /// The life, as its streams begin: `gateway/boot`.
    pub life: String,
    /// Whose quota.
    pub tenant: TenantId,
    /// Meter that is counted.
    pub meter: String,
    /// Source that they are drawn from.
    pub source: QuotaSource,
    /// Units drawn and not given back.
    pub drawn: u64,
    /// Units used.
    pub used: u64,
}

/// State of a tenant's quota.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuotaStanding {
    /// Meter that is counted.
    pub meter: String,
    /// The month, or credit.
    pub source: QuotaSource,
    /// Units of the month as the last gateway to draw knew it, or units paid for.
    pub limit: u64,
    /// Units that are used, or in the hands of gateways.
    pub drawn: u64,
    /// Units that answers have used beyond that.
    pub owed: u64,
    /// Units that gateways can still draw.
    pub left: u64,
}

/// Word for credit in the place of a period.
const CREDIT: &str = "prepaid";

/// Key of a quota, in the order in which rows are locked.
pub(crate) type QuotaKey<'a> = (TenantId, &'a str, QuotaSource);

impl Store {
    /// Draws from several quotas of which none is named twice: all of it in one transaction, or
    /// nothing. Says what was granted, in their order: never beyond a limit, also when it was
    /// lowered below what is out.
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
        rows::lock_leases(connection, holder, &ordered).await?;
        let keys: Vec<_> = ordered.iter().map(QuotaDraw::key).collect();
        let mut stands = lock_quotas(connection, &keys, now).await?;
        let (mut grants, mut changed) = (Vec::with_capacity(ordered.len()), Vec::new());
        for (draw, stand) in ordered.iter().zip(&mut stands) {
            let before = *stand;
            if let QuotaSource::Month(_) = draw.source {
                stand.set_limit(stored_units(draw.limit));
            }
            stand.owe(stored_units(draw.beyond));
            grants.push(stand.grant(stored_units(draw.wanted)));
            if *stand != before {
                changed.push((draw.key(), *stand));
            }
        }
        if !changed.is_empty() {
            rows::add_to_leases(connection, holder, ordered.iter().zip(&grants)).await?;
            write_quotas(connection, &changed, now).await?;
            write.commit().await?;
        }
        let granted = |draw: &QuotaDraw<'_>| {
            let place = ordered.binary_search_by_key(&draw.key(), QuotaDraw::key).ok();
            place.and_then(|place| grants.get(place).copied())
        };
        draws.iter().map(|draw| granted(draw).ok_or_else(|| corrupt("quota", "one was not drawn from"))).collect()
    }

    /// Gives back units that the life has drawn and not used: all of it, or nothing. Refused: more
    /// than it has drawn.
    pub async fn refund_quotas(&self, life: &Life, refunds: &[QuotaRefund<'_>], now: Micros) -> Result<(), StoreError> {
        let mut refunds: Vec<_> = refunds.iter().filter(|refund| refund.unused > 0).copied().collect();
        refunds.sort_by_key(QuotaRefund::key);
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        for refund in &refunds {
            rows::shrink_lease(connection, life, refund).await?;
        }
        // Of one quota that is named twice, the second refund finds what the first has left.
        for refunds in refunds.chunk_by(|one, next| one.key() < next.key()) {
            let keys: Vec<_> = refunds.iter().map(QuotaRefund::key).collect();
            let mut stands = lock_quotas(connection, &keys, now).await?;
            for (refund, stand) in refunds.iter().zip(&mut stands) {
                let unused = stored_units(refund.unused);
                if stand.granted.saturating_add(stand.owed) < unused {
                    let reason = format!("less is granted to {} than its leases hold", refund.tenant);
                    return Err(corrupt("quota", reason));
                }
                stand.give_back(unused);
            }
            let changed: Vec<_> = keys.into_iter().zip(stands).collect();
            write_quotas(connection, &changed, now).await?;
        }
        write.commit().await
    }

    /// Returns the quotas of a tenant that anybody has drawn from, by meter, month and credit. A
    /// quota that tenants below share counts their usage.
    pub async fn quotas(&self, tenant: TenantId) -> Result<Vec<QuotaStanding>, StoreError> {
        self.require_tenant(tenant).await?;
        let rows = sqlx::query(
            "SELECT meter, period, granted, limit_units, owed, (SELECT COALESCE(CAST(SUM(used - drawn) AS BIGINT), 0) \
             FROM quota_leases WHERE quota_leases.tenant_id = quota_grants.tenant_id \
             AND quota_leases.meter = quota_grants.meter AND quota_leases.period = quota_grants.period \
             AND used > drawn) AS beyond FROM quota_grants WHERE tenant_id = $1 ORDER BY meter, period",
        )
        .bind(tenant.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let mut stand = Stand {
                    granted: row.try_get("granted")?,
                    limit: row.try_get("limit_units")?,
                    owed: row.try_get("owed")?,
                };
                // Used by answers whose gateway has not told of it yet, or never will.
                stand.owe(row.try_get("beyond")?);
                Ok(QuotaStanding {
                    meter: row.try_get("meter")?,
                    source: parsed(row, "period")?,
                    limit: stand.limit.unsigned_abs(),
                    drawn: stand.granted.unsigned_abs(),
                    owed: stand.owed.unsigned_abs(),
                    left: stand.left().unsigned_abs(),
                })
            })
            .collect()
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

impl<'a> QuotaRefund<'a> {
    const fn key(&self) -> QuotaKey<'a> {
        (self.tenant, self.meter, self.source)
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

/// The store counts to 63 bits; what is beyond can never be drawn.
fn stored_units(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
