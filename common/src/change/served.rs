//! Rows that gateways need of tenants, subscriptions, plans and keys: all of them, or those that a
//! stretch of the change log names. Only columns that the request path needs are read.

use std::{collections::HashSet, time::Duration};

use futures_util::TryStreamExt as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _, any::AnyRow};
use tokio::time::timeout;

use super::{catalog::cutoff, mark::ChangeMark};
use crate::{
    dunning::Unpaid,
    id::{KeyId, TenantId},
    key::{IpNet, Key, KeyHash, Mode},
    plan::{PlanId, PlanVersion, subscription::Subscription, versions as plans},
    store::{
        Engine, StoreError,
        change_log::{self, Changed},
        row::{corrupt, instant, instant_or_null, list, parsed, parsed_or_null, zone},
        transaction,
    },
    tenant::{Tenant, TenantStatus, row as tenants},
    time::{Micros, Zone},
};

/// Most time until the next rows of the whole catalog arrive.
const ROWS_DEADLINE: Duration = Duration::from_secs(20);

/// Rows that are asked for by id at once.
const IDS_AT_ONCE: usize = 500;

const TENANTS: &str = "SELECT id, parent_id, status, deleted_at, zone, unpaid_invoice, pay_at, own_spent_until, \
                       subtree_spent_until FROM tenants ";
const SUBSCRIPTIONS: &str =
    "SELECT tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at FROM subscriptions ";
const PLANS: &str = "SELECT owner_id, plan_id, version, body, created_at FROM plan_versions ";
const KEYS: &str =
    "SELECT id, tenant_id, mode, hash, expires_at, revoked_at, scopes, allowed_ips, spent_until FROM keys ";

/// Tells for an owner, a plan and a version whether the reader has that version already.
pub(super) type KnownPlans<'a> = &'a (dyn Fn(TenantId, &PlanId, i64) -> bool + Sync);

/// A row of the whole catalog.
#[derive(Debug)]
pub enum CatalogRow {
    /// Every tenant comes before all that names it.
    Tenant(ServedTenant),
    /// One that some subscription pins.
    Plan(Box<PlanVersion>),
    /// In force, or yet to start.
    Subscription(Subscription),
    /// One that may still be served: neither revoked nor expired long ago.
    Key(ServedKey),
}

/// Columns of a tenant that a gateway needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedTenant {
    /// Its identifier.
    pub id: TenantId,
    /// The tenant above.
    pub parent: Option<TenantId>,
    /// Status that decides whether its keys are served.
    pub status: TenantStatus,
    /// In which its months begin. If this program does not know it, the tenant has none, so no
    /// quota of a month.
    pub zone: Zone,
    /// The invoice because of which it is refused until that is paid.
    pub unpaid: Option<Unpaid>,
    /// Before this instant its own keys are refused, as a budget is spent.
    pub own_spent_until: Option<Micros>,
    /// Before this instant it and everybody below it is refused, as a budget is spent.
    pub subtree_spent_until: Option<Micros>,
}

/// Columns of a key that a gateway needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKey {
    /// Its public identifier.
    pub id: KeyId,
    /// Whose usage it is.
    pub tenant: TenantId,
    /// Mode, which decides whether usage is billed.
    pub mode: Mode,
    /// Keyed hash of the secret.
    pub hash: KeyHash,
    /// From this instant on it is refused.
    pub expires_at: Option<Micros>,
    /// True if it was revoked.
    pub revoked: bool,
    /// Scopes; empty: the key may use every route.
    pub scopes: Vec<String>,
    /// Networks that may use it; empty: every address.
    pub allowed_ips: Vec<IpNet>,
    /// Before this instant it is refused, as a budget is spent.
    pub spent_until: Option<Micros>,
}

/// Things that a stretch of the change log names, in their present state.
#[derive(Debug)]
pub struct Changes {
    /// Place in the log where the stretch ends.
    pub mark: ChangeMark,
    /// True if the log goes on behind the stretch.
    pub more: bool,
    /// Tenants that changed.
    pub tenants: Vec<ServedTenant>,
    /// The subscriptions of those tenants, in force or yet to start.
    pub subscriptions: Vec<Subscription>,
    /// Plan versions that those pin and that were not known.
    pub plans: Vec<PlanVersion>,
    /// Keys that changed.
    pub keys: Vec<ServedKey>,
    /// Keys that are not there any more.
    pub gone_keys: Vec<KeyId>,
}

impl From<&Tenant> for ServedTenant {
    fn from(tenant: &Tenant) -> Self {
        let (zone, unpaid) = (tenant.zone.clone(), tenant.unpaid.clone());
        let (id, parent, status) = (tenant.id, tenant.parent, tenant.status);
        Self { id, parent, status, zone, unpaid, own_spent_until: None, subtree_spent_until: None }
    }
}

impl From<&Key> for ServedKey {
    fn from(key: &Key) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant,
            mode: key.mode,
            hash: key.hash,
            expires_at: key.expires_at,
            revoked: key.revoked_at.is_some(),
            scopes: key.scopes.clone(),
            allowed_ips: key.allowed_ips.clone(),
            spent_until: None,
        }
    }
}

/// The last change's number and time.
pub(super) async fn head(connection: &mut AnyConnection) -> Result<(i64, Micros), StoreError> {
    let head = sqlx::query("SELECT seq, at FROM change_head").fetch_one(connection).await?;
    Ok((head.try_get("seq")?, instant(&head, "at")?))
}

/// Up to `limit` changes from number `from` on.
pub(super) async fn logged(
    connection: &mut AnyConnection,
    from: i64,
    limit: u32,
) -> Result<Vec<(ChangeMark, Changed)>, StoreError> {
    let rows = sqlx::query("SELECT seq, kind, subject, at FROM changes WHERE seq >= $1 ORDER BY seq LIMIT $2")
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((mark(row)?, change_log::read(row)?.changed))).collect()
}

fn mark(row: &AnyRow) -> Result<ChangeMark, StoreError> {
    let kind: String = row.try_get("kind")?;
    let what = match row.try_get::<Option<String>, _>("subject")? {
        Some(subject) => format!("{kind} {subject}"),
        None => kind,
    };
    Ok(ChangeMark { seq: row.try_get("seq")?, at: instant(row, "at")?, what })
}

/// Up to `limit` changes after `known`, with what they name. None: the log does not hold `known`.
pub(super) async fn changes_after(
    engine: Engine,
    connection: &mut AnyConnection,
    known: &ChangeMark,
    limit: u32,
    is_known: KnownPlans<'_>,
) -> Result<Option<Changes>, StoreError> {
    let mut snapshot = connection.begin_with(transaction::snapshot(engine)).await?;
    // With the change that was seen last, and one that tells whether there are more.
    let mut log = logged(&mut snapshot, known.seq.max(1), limit.saturating_add(2)).await?;
    if known.seq > 0 {
        if log.first().is_none_or(|(mark, _)| mark != known) {
            return Ok(None);
        }
        log.remove(0);
    }
    let more = log.len() > limit as usize;
    log.truncate(limit as usize);
    if !log.iter().zip(known.seq + 1..).all(|((mark, _), seq)| mark.seq == seq) {
        return Ok(None);
    }
    let mark = log.last().map_or_else(|| known.clone(), |(mark, _)| mark.clone());
    let tenants = named(&log, |changed| if let Changed::Tenant(id) = changed { Some(*id) } else { None });
    let keys = named(&log, |changed| if let Changed::Key(id) = changed { Some(*id) } else { None });
    let (_, at) = head(&mut snapshot).await?;
    let found = by_ids(&mut snapshot, KEYS, "id", &keys, key).await?;
    let subscriptions = by_ids(&mut snapshot, SUBSCRIPTIONS, "tenant_id", &tenants, subscription).await?;
    let mut changes = Changes {
        mark,
        more,
        tenants: by_ids(&mut snapshot, TENANTS, "id", &tenants, tenant).await?,
        subscriptions: subscriptions.into_iter().filter(|one| one.ends_at.is_none_or(|end| end > cutoff(at))).collect(),
        plans: Vec::new(),
        gone_keys: keys.into_iter().filter(|id| !found.iter().any(|key| key.id == *id)).collect(),
        keys: found,
    };
    let pinned: HashSet<_> = changes.subscriptions.iter().map(|one| (one.plan_owner, &one.plan, one.version)).collect();
    for (owner, plan, version) in pinned.into_iter().filter(|(owner, plan, version)| !is_known(*owner, plan, *version))
    {
        changes.plans.push(plan_version(&mut snapshot, owner, plan, version).await?);
    }
    snapshot.commit().await?;
    Ok(Some(changes))
}

/// Gives every row of the catalog to `take`; returns the last change that it contains.
pub(super) async fn whole(
    engine: Engine,
    connection: &mut AnyConnection,
    mut take: impl FnMut(CatalogRow) + Send,
) -> Result<ChangeMark, StoreError> {
    let mut snapshot = connection.begin_with(transaction::snapshot(engine)).await?;
    let (seq, at) = head(&mut snapshot).await?;
    let last = logged(&mut snapshot, seq, 1).await?.pop();
    let cutoff = cutoff(at);
    each(&mut snapshot, TENANTS, None, |row| {
        take(CatalogRow::Tenant(tenant(row)?));
        Ok(())
    })
    .await?;
    let pinned = "AS stored WHERE EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.plan_owner = stored.owner_id \
                  AND subscriptions.plan_id = stored.plan_id AND subscriptions.plan_version = stored.version AND (ends_at IS NULL OR ends_at > $1))";
    each(&mut snapshot, &format!("{PLANS}{pinned}"), Some(cutoff), |row| {
        take(CatalogRow::Plan(plans::read_version(row)?.into()));
        Ok(())
    })
    .await?;
    let lasting = format!("{SUBSCRIPTIONS}WHERE ends_at IS NULL OR ends_at > $1");
    each(&mut snapshot, &lasting, Some(cutoff), |row| {
        take(CatalogRow::Subscription(subscription(row)?));
        Ok(())
    })
    .await?;
    let served = format!("{KEYS}WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)");
    each(&mut snapshot, &served, Some(cutoff), |row| {
        take(CatalogRow::Key(key(row)?));
        Ok(())
    })
    .await?;
    snapshot.commit().await?;
    Ok(last.map_or(ChangeMark::NONE, |(mark, _)| mark))
}

fn named<Id: Ord>(log: &[(ChangeMark, Changed)], id: impl Fn(&Changed) -> Option<Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = log.iter().filter_map(|(_, changed)| id(changed)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Reads rows one by one as they come: there may be a million.
async fn each(
    connection: &mut AnyConnection,
    statement: &str,
    cutoff: Option<Micros>,
    mut read: impl FnMut(&AnyRow) -> Result<(), StoreError> + Send,
) -> Result<(), StoreError> {
    let query = sqlx::query(AssertSqlSafe(statement));
    let query = match cutoff {
        Some(cutoff) => query.bind(cutoff.0),
        None => query,
    };
    let mut rows = query.fetch(connection);
    loop {
        let next = timeout(ROWS_DEADLINE, rows.try_next()).await.map_err(|_| StoreError::no_answer(ROWS_DEADLINE))?;
        match next? {
            Some(row) => read(&row)?,
            None => return Ok(()),
        }
    }
}

/// The rows whose `column` is one of `ids`.
async fn by_ids<Id: ToString + Sync, T>(
    connection: &mut AnyConnection,
    select: &str,
    column: &str,
    ids: &[Id],
    read: fn(&AnyRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS_AT_ONCE) {
        let places = (1..=ids.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let mut query = sqlx::query(AssertSqlSafe(format!("{select} WHERE {column} IN ({places})")));
        for id in ids {
            query = query.bind(id.to_string());
        }
        for row in &query.fetch_all(&mut *connection).await? {
            found.push(read(row)?);
        }
    }
    Ok(found)
}

async fn plan_version(
    connection: &mut AnyConnection,
    owner: TenantId,
    plan: &PlanId,
    version: i64,
) -> Result<PlanVersion, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("{PLANS}WHERE owner_id = $1 AND plan_id = $2 AND version = $3")))
        .bind(owner.to_string())
        .bind(plan.as_str())
        .bind(version)
        .fetch_one(connection)
        .await?;
    plans::read_version(&row)
}

fn tenant(row: &AnyRow) -> Result<ServedTenant, StoreError> {
    let status = match instant_or_null(row, "deleted_at")? {
        Some(_) => TenantStatus::Deleted,
        None => parsed(row, "status")?,
    };
    let (id, parent) = (parsed(row, "id")?, parsed_or_null(row, "parent_id")?);
    Ok(ServedTenant {
        id,
        parent,
        status,
        zone: zone(row)?,
        unpaid: tenants::unpaid(row)?,
        own_spent_until: instant_or_null(row, "own_spent_until")?,
        subtree_spent_until: instant_or_null(row, "subtree_spent_until")?,
    })
}

fn subscription(row: &AnyRow) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        tenant: parsed(row, "tenant_id")?,
        plan_owner: parsed(row, "plan_owner")?,
        plan: parsed(row, "plan_id")?,
        version: row.try_get("plan_version")?,
        starts_at: instant(row, "starts_at")?,
        ends_at: instant_or_null(row, "ends_at")?,
    })
}

fn key(row: &AnyRow) -> Result<ServedKey, StoreError> {
    let hash: String = row.try_get("hash")?;
    Ok(ServedKey {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant_id")?,
        mode: parsed(row, "mode")?,
        hash: KeyHash::from_hex(&hash).ok_or_else(|| corrupt("key hash", "it is not 64 hex digits"))?,
        expires_at: instant_or_null(row, "expires_at")?,
        revoked: instant_or_null(row, "revoked_at")?.is_some(),
        scopes: list(row, "scopes")?,
        allowed_ips: list(row, "allowed_ips")?,
        spent_until: instant_or_null(row, "spent_until")?,
    })
}
