//! Measures a large catalog: seconds to load it from the store and from the snapshot file, seconds
//! until a change of a reseller's plan has reached everybody below it, and memory.
//!
//! `cargo run --release -p gateway --example catalog_scale [sqlite|postgres] [tenants] [keys]`
//! fills a store of its own with a root, ten resellers, and customers below them, and prints one
//! line of JSON. PostgreSQL is a real server.
#![expect(clippy::print_stdout, reason = "the figures are for whoever started it")]

use std::{
    error::Error,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    id::TenantId,
    key::{Mode, Pepper, Secret},
    plan::{Plan, PlanFile, subscription::PlanStart},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, SystemClock, Zone},
};
use gateway::{
    auth::Authenticator,
    catalog::{Catalog, SnapshotKeeper},
};
use servers::{Postgres, PostgresOptions};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RESELLERS: usize = 10;

/// Rows in one statement.
const ROWS_AT_ONCE: usize = 500;

const PLANS: &str = "
plans:
  - { id: small, name: Small, currency: USD, flat_fee: '0.00', limits: { key: { per_second: 50 }, pool: { per_second: 5000 } } }
  - { id: large, name: Large, currency: USD, flat_fee: '0.00', limits: { key: { per_second: 90 }, pool: { per_second: 9000 } } }
";

/// As the first argument: only load the catalog from the store that follows, and print the bytes
/// that this took.
const LOAD: &str = "load";

/// A filled store.
struct Filled {
    store: Store,
    resellers: Vec<TenantId>,
    /// Of customers of the first reseller.
    secrets: Vec<Secret>,
    pepper: Pepper,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let engine = arguments.next().unwrap_or_else(|| "sqlite".into());
    if engine == LOAD {
        println!("{}", load(&arguments.next().unwrap_or_default()).await?);
        return Ok(());
    }
    let tenants = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let keys = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let server = match engine.as_str() {
        "postgres" => Some(Postgres::start_with(PostgresOptions { fsync: false, ..PostgresOptions::default() })?),
        _ => None,
    };
    let url = match &server {
        Some(server) => {
            server.create_database("scale")?;
            server.url("scale")
        }
        None => format!("sqlite://{}", directory.path().join("scale.db").display()),
    };
    let filled = fill(&url, tenants, keys).await?;

    let memory = memory_of_load(&url)?;
    let begun = Instant::now();
    let catalog = Arc::new(Catalog::load(&filled.store).await?);
    let cold = begun.elapsed();
    assert_eq!((catalog.key_count(), catalog.tenant_count()), (keys, tenants + RESELLERS + 1));

    let change = change_plan(&catalog, &filled).await?;
    let (written, read, bytes) = snapshot(&catalog, &filled.pepper, directory.path()).await?;
    println!(
        "{}",
        serde_json::json!({
            "engine": engine, "tenants": tenants, "keys": keys, "cold_load_seconds": cold.as_secs_f64(),
            "memory_mib": memory >> 20, "plan_change_descendants": tenants / RESELLERS,
            "plan_change_seconds": change.as_secs_f64(), "snapshot_mib": bytes >> 20,
            "snapshot_write_seconds": written.as_secs_f64(), "snapshot_read_seconds": read.as_secs_f64(),
        })
    );
    Ok(())
}

/// The bytes that a process of its own takes to load the catalog: this one has used memory already
/// to fill the store.
fn memory_of_load(url: &str) -> Result<u64, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?).args([LOAD, url]).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the process that loads the catalog ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

async fn load(url: &str) -> Result<u64, Box<dyn Error>> {
    let store = Store::open(url).await?;
    let before = resident_bytes();
    let catalog = Catalog::load(&store).await?;
    let memory = resident_bytes().saturating_sub(before);
    assert!(catalog.is_loaded());
    Ok(memory)
}

/// Seconds from the change of the first reseller's plan until the last customer below it has it.
async fn change_plan(catalog: &Arc<Catalog>, filled: &Filled) -> Result<Duration, Box<dyn Error>> {
    let (stop, stopped) = watch::channel(false);
    let following = tokio::spawn(Arc::clone(catalog).follow(filled.store.clone(), stopped));
    let authenticator = Authenticator { catalog: Arc::clone(catalog), pepper: filled.pepper.clone() };
    let has_large = |secret: &Secret| {
        let headers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-api-key"),
            http::HeaderValue::from_str(secret.expose()).unwrap_or_else(|_| http::HeaderValue::from_static("")),
        )]);
        let caller = authenticator.authenticate(&headers, SystemClock.now());
        caller.is_ok_and(|caller| caller.tenant.plan().as_str() == "large")
    };
    let begun = Instant::now();
    let plan = "large".parse()?;
    filled.store.assign_plan(filled.resellers[0], &plan, None, PlanStart::Now, SystemClock.now()).await?;
    for secret in &filled.secrets {
        while !has_large(secret) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let took = begun.elapsed();
    stop.send(true)?;
    following.await?;
    Ok(took)
}

/// Measures the snapshot file: the time to write it, the time to read it, and its size.
async fn snapshot(
    catalog: &Arc<Catalog>,
    pepper: &Pepper,
    directory: &std::path::Path,
) -> Result<(Duration, Duration, u64), Box<dyn Error>> {
    let file = directory.join("catalog.snapshot");
    let (stop, stopped) = watch::channel(true);
    let begun = Instant::now();
    SnapshotKeeper::new(Arc::clone(catalog), file.clone(), pepper.clone()).run(stopped).await;
    let written = begun.elapsed();
    drop(stop);
    let begun = Instant::now();
    let restored = Catalog::restore(&file, pepper)?;
    assert_eq!(restored.key_count(), catalog.key_count());
    Ok((written, begun.elapsed(), std::fs::metadata(file)?.len()))
}

async fn fill(url: &str, tenants: usize, keys: usize) -> Result<Filled, Box<dyn Error>> {
    let (store, _) = Store::open_and_migrate(url).await?;
    let now = SystemClock.now();
    let plans: Vec<Plan> = PlanFile::parse(PLANS, "plans.yaml")?.plans;
    store.apply_plans(&plans, now).await?;
    let root = create(&store, None, TenantKind::Root).await?;
    let mut resellers = Vec::new();
    for _ in 0..RESELLERS {
        resellers.push(create(&store, Some(root), TenantKind::Reseller).await?);
    }
    let pepper = Pepper::new(b"a pepper for measurements")?;
    let mut connection = AnyConnection::connect(url).await?;
    sqlx::raw_sql("BEGIN").execute(&mut connection).await?;
    let customers: Vec<TenantId> = (0..tenants).map(|_| TenantId::generate()).collect();
    let mut rows = Vec::new();
    for (number, id) in customers.iter().enumerate() {
        let parent = resellers[number % RESELLERS];
        rows.push(format!(
            "('{id}', '{parent}', 'customer', 'c{number}', 'active', 'UTC', '/{root}/{parent}/{id}/', 3, {}, {})",
            1_000 + number,
            now.0
        ));
    }
    let into = "tenants (id, parent_id, kind, name, status, zone, path, depth, created_seq, created_at)";
    insert(&mut connection, into, &rows).await?;
    rows.clear();
    let mut secrets = Vec::new();
    for number in 0..keys {
        let (secret, tenant) = (Secret::generate(Mode::Live), number % tenants);
        rows.push(format!(
            "('{}', '{}', 'k', 'live', '{}', '{}', 'abcd', {}, {})",
            common::id::KeyId::generate(),
            customers[tenant],
            pepper.hash(&secret).to_hex(),
            pepper.id(),
            10_000_000 + number,
            now.0
        ));
        // One for each customer of the first reseller.
        if number < tenants && tenant % RESELLERS == 0 {
            secrets.push(secret);
        }
    }
    let into = "keys (id, tenant_id, name, mode, hash, pepper_id, hint, created_seq, created_at)";
    insert(&mut connection, into, &rows).await?;
    sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
    Ok(Filled { store, resellers, secrets, pepper })
}

async fn create(store: &Store, parent: Option<TenantId>, kind: TenantKind) -> Result<TenantId, Box<dyn Error>> {
    let plan = match kind {
        TenantKind::Reseller => Some("small".parse()?),
        TenantKind::Root | TenantKind::Customer => None,
    };
    let new = NewTenant { parent, kind, name: kind.to_string(), zone: Zone::utc(), plan };
    Ok(store.create_tenant(&new, SystemClock.now()).await?.id)
}

async fn insert(connection: &mut AnyConnection, into: &str, rows: &[String]) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let statement = format!("INSERT INTO {into} VALUES {}", rows.join(", "));
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Memory of this process that is in use.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|resident| resident.parse::<u64>().ok()).unwrap_or(0) * 4_096
}
