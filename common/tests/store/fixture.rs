//! A store of its own for each test, on each engine, and the rows that tests fill it with.

use std::{
    process::{Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use common::{
    acting::{Acting, Actor, ActorKind, Scope},
    admin::{AdminKey, AdminSecret, NewAdminKey, Role},
    id::{KeyId, TenantId},
    key::{Key, Mode, NewKey, Pepper, Secret},
    plan::{Plan, PlanFile},
    store::{Changed, PageRequest, Store, StoreError},
    tenant::{
        Tenant,
        TenantKind::{self},
        lifecycle::NewTenant,
    },
    time::{Micros, Zone},
    usage::{
        RefusalCount, StreamId, UsageBatch, UsageEntry, UsageRecord,
        rollup::{UsageFilter, UsageRollup},
    },
};
use servers::{Postgres, PostgresOptions};
use sqlx::{AnyConnection, Connection as _, Row as _};
use tempfile::TempDir;

/// 2026-11-22T01:30:00Z.
pub(crate) const NOW: Micros = Micros(1_795_311_000_000_000);

/// The environment variable that names the store for helper processes of a test.
pub(crate) const STORE_VARIABLE: &str = "TOLLGATE_TEST_STORE";

/// Makes two tests, `sqlite::name` and `postgres::name`, of each function `async fn name(fixture:
/// Fixture)`.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    super::$name(crate::fixture::Fixture::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    super::$name(crate::fixture::Fixture::postgres()).await;
                }
            )+
        }
    };
}
pub(crate) use on_both_engines;

/// A store that no other test uses: a SQLite file or a PostgreSQL database.
pub(crate) struct Fixture {
    pub(crate) url: String,
    directory: Option<TempDir>,
}

static SERVER: LazyLock<Postgres> = LazyLock::new(|| {
    // No test here crashes the machine.
    Postgres::start_with(PostgresOptions { fsync: false, ..PostgresOptions::default() }).unwrap()
});
static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Fixture {
    /// A file that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        let directory = TempDir::new().unwrap();
        let url = format!("sqlite://{}/tollgate.db", directory.path().display());
        Self { url, directory: Some(directory) }
    }

    /// An empty database.
    pub(crate) fn postgres() -> Self {
        let name = format!("store_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        SERVER.create_database(&name).unwrap();
        Self { url: SERVER.url(&name), directory: None }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.directory.is_some()
    }

    /// A store with an up-to-date schema.
    pub(crate) async fn store(&self) -> Store {
        Store::open_and_migrate(&self.url).await.unwrap().0
    }

    /// A connection of the engine itself, past the store.
    pub(crate) async fn connection(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements past the store.
    pub(crate) async fn execute(&self, statements: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(statements).execute(&mut self.connection().await).await.map(drop)
    }

    /// This test program once more, to run only the test `helper` on this store. Helpers are
    /// ignored elsewhere.
    pub(crate) fn helper(&self, helper: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", helper, "--ignored", "--nocapture"])
            .env(STORE_VARIABLE, &self.url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Checks that records and rollups say the same, row by row.
    pub(crate) async fn assert_sums_match_records(&self) {
        let mut connection = self.connection().await;
        let mut rows_of = async |statement: &'static str| -> Vec<String> {
            let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
            rows.iter()
                .map(|row| {
                    let texts: Vec<String> = (0..6).map(|column| row.get(column)).collect();
                    let numbers: Vec<i64> = (6..12).map(|column| row.get(column)).collect();
                    format!("{texts:?} {numbers:?}")
                })
                .collect()
        };
        let from_records = rows_of(
            "SELECT tenant_id, key_id, route, meter, mode, paid, hour, COALESCE(since, hour) AS since, billable, \
             CAST(COUNT(*) AS BIGINT), CAST(SUM(units) AS BIGINT), CAST(COUNT(CASE WHEN status = 499 THEN 1 END) AS BIGINT) \
             FROM usage_records \
             GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
        )
        .await;
        let sums = rows_of(
            "SELECT tenant_id, key_id, route, meter, mode, paid, hour, since, billable, requests, units, aborted \
             FROM usage_hourly \
             ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
        )
        .await;
        assert_eq!(from_records, sums);
    }

    /// The first column of the first row.
    pub(crate) async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query(statement).fetch_one(&mut self.connection().await).await.unwrap().get(0)
    }
}

pub(crate) fn new_tenant(kind: TenantKind, parent: Option<TenantId>) -> NewTenant {
    NewTenant { parent, kind, name: format!("a {kind}"), zone: Zone::utc(), plan: None }
}

pub(crate) async fn root(store: &Store) -> Tenant {
    store.create_tenant(&new_tenant(TenantKind::Root, None), NOW).await.unwrap()
}

pub(crate) fn new_key(tenant: TenantId) -> NewKey {
    NewKey::new(tenant, "a key", &Secret::generate(Mode::Live), &Pepper::new(b"a pepper for tests").unwrap())
}

pub(crate) async fn key(store: &Store, tenant: TenantId) -> Key {
    store.create_key(&new_key(tenant), NOW).await.unwrap()
}

pub(crate) fn plan(id: &str, flat_fee: &str) -> Plan {
    let text = format!("plans: [{{ id: {id}, name: A plan, currency: USD, flat_fee: '{flat_fee}' }}]");
    PlanFile::parse(&text, "test").unwrap().plans.remove(0)
}

pub(crate) fn stream(boot: u128) -> StreamId {
    StreamId::new("edge-1", boot, 0).unwrap()
}

/// A request of one unit.
pub(crate) fn request(tenant: TenantId) -> UsageRecord {
    UsageRecord {
        at: NOW,
        tenant,
        key: KeyId::from_u128(7),
        route: "search".into(),
        meter: "requests".into(),
        units: 1,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

pub(crate) fn refusals(tenant: TenantId, count: u64) -> UsageEntry {
    let (key, reason) = (KeyId::from_u128(7), "rate_limited".into());
    UsageEntry::Refusals(RefusalCount { at: NOW, tenant, key, reason, count })
}

/// A batch of requests of one unit.
pub(crate) fn batch(stream: &StreamId, first_seq: u64, count: usize, tenant: TenantId) -> UsageBatch {
    let entries = (0..count).map(|_| UsageEntry::Request(request(tenant))).collect();
    UsageBatch { stream: stream.clone(), first_seq, entries }
}

pub(crate) async fn usage_of(store: &Store, tenant: TenantId) -> Vec<UsageRollup> {
    store.usage(&UsageFilter { tenant: Some(tenant), window: None }).await.unwrap()
}

pub(crate) async fn units_of(store: &Store, tenant: TenantId) -> u64 {
    usage_of(store, tenant).await.iter().map(|sum| sum.units).sum()
}

pub(crate) const PAGE: PageRequest = PageRequest { after: None, limit: 100 };

pub(crate) fn acting_person(name: &str, scope: Scope) -> Acting {
    let address = Some("192.0.2.7".parse().unwrap());
    let actor = Actor { kind: ActorKind::Person, name: name.into(), address, request_id: Some("req-1".into()) };
    Acting { actor, scope, idempotency: None, until: None }
}

/// The store as it exists for a person at a tenant.
pub(crate) fn person_at(store: &Store, name: &str, tenant: TenantId) -> Store {
    let actor = Actor { kind: ActorKind::Person, name: name.into(), address: None, request_id: None };
    store.acting_as(Acting { actor, scope: Scope::Subtree(tenant), idempotency: None, until: None })
}

pub(crate) async fn customer(store: &Store, parent: TenantId) -> TenantId {
    store.create_tenant(&new_tenant(TenantKind::Customer, Some(parent)), NOW).await.unwrap().id
}

pub(crate) async fn below(store: &Store, kind: TenantKind, parent: TenantId) -> TenantId {
    store.create_tenant(&new_tenant(kind, Some(parent)), NOW).await.unwrap().id
}

pub(crate) async fn changes(store: &Store) -> Vec<Changed> {
    store.changes_after(0, 1000).await.unwrap().into_iter().map(|change| change.changed).collect()
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, StoreError>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

/// It is what the store holds that stands in the way.
#[track_caller]
pub(crate) fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

pub(crate) fn new_admin_key(tenant: TenantId) -> NewAdminKey {
    let secret = AdminSecret::generate();
    let pepper = Pepper::new(b"a pepper for tests").unwrap();
    NewAdminKey {
        tenant,
        name: "machine".into(),
        role: Role::Owner,
        scopes: Vec::new(),
        hash: pepper.hash_admin(&secret),
        pepper_id: pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: None,
    }
}

/// The store as it exists for whoever holds an admin key.
pub(crate) fn with_key(store: &Store, key: &AdminKey) -> Store {
    let address = Some("192.0.2.7".parse().unwrap());
    let request_id = Some("req-7".into());
    let actor = Actor { kind: ActorKind::AdminKey, name: key.id.to_string(), address, request_id };
    store.acting_as(Acting { actor, scope: Scope::Subtree(key.tenant), idempotency: None, until: key.expires_at })
}

pub(crate) async fn machine(store: &Store, tenant: TenantId) -> AdminKey {
    store.create_admin_key(&new_admin_key(tenant), NOW).await.unwrap()
}
