//! A month of usage, filled in by the database itself, in the order in which it would have come.
//!
//! Tenants are in three time zones. Of twenty, one is on a plan with a hard quota, and one changed
//! its plan in mid-month.

use common::{
    id::TenantId,
    plan::PlanFile,
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Micros, Zone},
};
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgPoolOptions};

use crate::drill::error::DrillError;

/// The month that is closed: one of 30 days, without a change of clocks.
pub(super) const PERIOD: &str = "2026-06";

/// The instant of the run.
pub(super) const NOW: &str = "2026-07-03T00:00:00Z";

/// Days whose usage is there: the month on all clocks.
const DAYS: i64 = 32;

/// 31 May 2026 in UTC, in microseconds.
const FIRST_DAY: i64 = 1_780_185_600_000_000;

/// Its size.
pub(super) struct Fixture {
    pub(super) tenants: u32,
    pub(super) keys: u32,
    /// Hours of each day in which each key is used.
    pub(super) hours: u32,
}

/// Sums that invoices must have.
pub(super) struct Expected {
    pub(super) tenants: i64,
    pub(super) rollups: i64,
    /// Requests of the month, each on the clock of its tenant.
    pub(super) requests: i64,
    /// Fees of the month.
    pub(super) fees: i64,
}

/// Sums that invoices have.
pub(super) struct Billed {
    pub(super) invoices: i64,
    pub(super) requests: i64,
    fees: i64,
    /// Numbers that no invoice has.
    gaps: i64,
}

const TENANTS: &str = "INSERT INTO tenants (id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at) \
    SELECT 'ten_' || lpad(n::text, 26, '0'), $1, 'customer', 'Customer ' || n, 'active', \
    (ARRAY['UTC', 'America/New_York', 'Asia/Kolkata'])[1 + n % 3], \
    '/' || $1 || '/ten_' || lpad(n::text, 26, '0') || '/', 2, 1000000 + n, $2 FROM generate_series(1, $3) AS n";

const PARENTS: &str = "INSERT INTO tenant_parents (tenant_id, parent_id, starts_at) \
    SELECT id, parent_id, -9223372036854775807 FROM tenants WHERE kind = 'customer'";

/// Of twenty, one is on the plan with a quota, and one changes from `growth` to `business`.
const SUBSCRIPTIONS: &str = "INSERT INTO subscriptions (tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at) \
    SELECT id, $1, CASE n % 20 WHEN 0 THEN 'free' WHEN 1 THEN 'growth' ELSE (ARRAY['starter', 'growth', 'business'])[1 + n % 3] END, \
    1, $2, CASE n % 20 WHEN 1 THEN $3 END FROM (SELECT id, created_seq - 1000000 AS n FROM tenants WHERE kind = 'customer') AS all_tenants \
    UNION ALL SELECT id, $1, 'business', 1, $3, NULL FROM tenants WHERE kind = 'customer' AND (created_seq - 1000000) % 20 = 1";

const KEYS: &str = "CREATE TABLE drill_keys AS SELECT id AS tenant_id, 'key_' || lpad((n * 100 + k)::text, 26, '0') AS key_id, n, k \
    FROM (SELECT id, created_seq - 1000000 AS n FROM tenants WHERE kind = 'customer') AS all_tenants \
    CROSS JOIN generate_series(1, $1) AS k ORDER BY n, k";

/// The usage of a day, hour by hour. No record of it is kept.
const USAGE: &str = "INSERT INTO usage_hourly (tenant_id, hour, since, key_id, route, meter, mode, billable, paid, requests, \
    units, dropped_requests, dropped_units) \
    SELECT tenant_id, hour, hour, key_id, 'api', 'requests', 'live', 1, 'charge', uses, uses, uses, uses FROM \
    (SELECT $1 + h * 3600000000 AS hour FROM generate_series(0, $2 - 1) AS h) AS hours CROSS JOIN LATERAL \
    (SELECT tenant_id, key_id, 1 + (n * 7 + k + hours.hour / 3600000000) % 900 AS uses FROM drill_keys) AS used";

const STREAM: &str = "INSERT INTO usage_streams (stream, next_seq, updated_at, requests, units, dropped_requests, dropped_units) \
    SELECT 'drill/00000000000000000000000001/0', sums, 0, sums, sums, sums, sums \
    FROM (SELECT CAST(SUM(requests) AS BIGINT) AS sums FROM usage_hourly) AS summed";

/// Requests of the month on each tenant's clock, and the flat fee of its last plan.
const EXPECTED: &str = "SELECT (SELECT COUNT(*) FROM usage_hourly) AS rollups, \
    (SELECT CAST(SUM(requests) AS BIGINT) FROM usage_hourly JOIN tenants ON id = tenant_id \
     WHERE to_timestamp(hour / 1000000) AT TIME ZONE zone >= '2026-06-01' \
     AND to_timestamp(hour / 1000000) AT TIME ZONE zone < '2026-07-01') AS requests, \
    (SELECT CAST(SUM(CASE plan_id WHEN 'starter' THEN 2900 WHEN 'growth' THEN 9900 WHEN 'business' THEN 29900 ELSE 0 END) \
     AS BIGINT) FROM subscriptions WHERE ends_at IS NULL) AS fees";

const BILLED: &str = "SELECT COUNT(*) AS invoices, \
    CAST(COALESCE(SUM((CAST(content AS JSONB) -> 'counts' ->> 'billable_units')::bigint), 0) AS BIGINT) AS requests, \
    CAST(COALESCE(SUM((SELECT SUM((line ->> 'amount_minor')::bigint) FROM jsonb_array_elements(CAST(content AS JSONB) -> 'lines') \
     AS line WHERE line ->> 'kind' = 'flat_fee')), 0) AS BIGINT) AS fees, \
    COALESCE(MAX(series_number), 0) - COUNT(*) AS gaps FROM invoices";

impl Fixture {
    /// Fills an empty store, and says what its month must come to.
    pub(super) async fn fill(&self, url: &str) -> Result<Expected, DrillError> {
        let root = self.root(url).await?.to_string();
        // Its own writes need not wait for the disk.
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("SET synchronous_commit = off").execute(&mut *connection).await?;
                    sqlx::query("SET maintenance_work_mem = '256MB'").execute(connection).await?;
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        let (began, middle) = (instant("2026-05-01T00:00:00Z")?, instant("2026-06-16T12:30:00Z")?);
        sqlx::query(TENANTS).bind(&root).bind(began.0).bind(i64::from(self.tenants)).execute(&pool).await?;
        sqlx::query(PARENTS).execute(&pool).await?;
        sqlx::query(SUBSCRIPTIONS).bind(&root).bind(began.0).bind(middle.0).execute(&pool).await?;
        sqlx::query(AssertSqlSafe(KEYS.replace("$1", &self.keys.to_string()))).execute(&pool).await?;
        self.fill_usage(&pool).await?;
        sqlx::query(STREAM).execute(&pool).await?;
        sqlx::query("DROP TABLE drill_keys").execute(&pool).await?;
        // As autovacuum would have done over the month, so that it does not begin amid the run.
        for table in ["usage_hourly", "tenants", "tenant_parents", "subscriptions"] {
            sqlx::query(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).execute(&pool).await?;
        }
        sqlx::query("CHECKPOINT").execute(&pool).await?;
        let row = sqlx::query(EXPECTED).fetch_one(&pool).await?;
        pool.close().await;
        let tenants = i64::from(self.tenants);
        Ok(Expected {
            tenants,
            rollups: row.try_get("rollups")?,
            requests: row.try_get("requests")?,
            fees: row.try_get("fees")?,
        })
    }

    /// A store with the plans and their owner.
    async fn root(&self, url: &str) -> Result<TenantId, DrillError> {
        let (store, _) = Store::open_and_migrate(url).await?;
        let began = instant("2026-05-01T00:00:00Z")?;
        let plans = PlanFile::parse(include_str!("../../../../config/plans.yaml"), "plans.yaml")
            .map_err(|error| DrillError::Patience(error.to_string()))?;
        store.apply_plans(&plans.plans, began).await?;
        let (name, zone) = ("Root".into(), Zone::utc());
        let root = NewTenant { parent: None, kind: TenantKind::Root, name, zone, plan: None };
        let root = store.create_tenant(&root, began).await?;
        store.close().await;
        Ok(root.id)
    }

    /// Indexes are built once all rows are there: that is several times as fast.
    async fn fill_usage(&self, pool: &PgPool) -> Result<(), DrillError> {
        let indexes = sqlx::query(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'usage_hourly' AND indexname <> 'usage_hourly_pkey'",
        );
        let indexes: Vec<String> =
            indexes.fetch_all(pool).await?.iter().map(|row| row.try_get("indexdef")).collect::<Result<_, _>>()?;
        let key =
            "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = 'usage_hourly_pkey'";
        let key: String = sqlx::query(key).fetch_one(pool).await?.try_get("definition")?;
        sqlx::query("ALTER TABLE usage_hourly DROP CONSTRAINT usage_hourly_pkey").execute(pool).await?;
        sqlx::query("DROP INDEX usage_hourly_hour").execute(pool).await?;
        for day in 0..DAYS {
            let start = FIRST_DAY + day * 86_400_000_000;
            sqlx::query(USAGE).bind(start).bind(i64::from(self.hours)).execute(pool).await?;
            if day % 4 == 3 {
                eprintln!("drill close-month: {} of {DAYS} days of usage are filled in", day + 1);
            }
        }
        let key = format!("ALTER TABLE usage_hourly ADD CONSTRAINT usage_hourly_pkey {key}");
        sqlx::query(AssertSqlSafe(key)).execute(pool).await?;
        for index in indexes {
            sqlx::query(AssertSqlSafe(index)).execute(pool).await?;
        }
        Ok(())
    }
}

/// Sums that invoices have.
pub(super) async fn billed(url: &str) -> Result<Billed, DrillError> {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    let row = sqlx::query(BILLED).fetch_one(&pool).await?;
    pool.close().await;
    Ok(Billed {
        invoices: row.try_get("invoices")?,
        requests: row.try_get("requests")?,
        fees: row.try_get("fees")?,
        gaps: row.try_get("gaps")?,
    })
}

impl Billed {
    /// The first difference from what is expected, in words.
    pub(super) fn wrong(&self, expected: &Expected) -> Option<String> {
        let pairs = [
            ("invoices", self.invoices, expected.tenants),
            ("requests on invoices", self.requests, expected.requests),
            ("cents of flat fees", self.fees, expected.fees),
            ("gaps in numbers", self.gaps, 0),
        ];
        let wrong = pairs.into_iter().find(|(_, found, expected)| found != expected);
        wrong.map(|(what, found, expected)| format!("{found} {what}, and {expected} are expected"))
    }
}

fn instant(text: &str) -> Result<Micros, DrillError> {
    text.parse().map_err(|error| DrillError::Patience(format!("{text}: {error}")))
}
