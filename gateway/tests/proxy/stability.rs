//! Serving while the store is down, cut off or silent, and catching up once it is not.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{key::Mode, store::Store};
use serde_json::Value;
use servers::{Postgres, PostgresOptions};
use sqlx::Connection as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::support::{
    Fixture, ROUTES, eventually, now,
    process::{Gateway, command},
};

fn server() -> Postgres {
    Postgres::start_with(PostgresOptions { fsync: false, ..PostgresOptions::default() }).unwrap()
}

async fn world_on(server: &Postgres) -> Fixture {
    server.create_database("fixture").unwrap();
    Fixture::on(server.url("fixture"), tempfile::tempdir().unwrap()).await
}

async fn catalog_of(gateway: &Gateway) -> Value {
    let (_, body) = gateway.admin("/health/ready").await;
    serde_json::from_str::<Value>(&body).unwrap()["catalog"].clone()
}

async fn becomes(gateway: &Gateway, secret: &common::key::Secret, status: u16) {
    let what = format!("answers become {status}");
    eventually(&what, || async { (gateway.status("/", secret).await == status).then_some(()) }).await;
}

/// Starts a gateway without its store and returns what it says when it gives up.
async fn refusal(fixture: &Fixture, pepper: &'static str) -> String {
    let mut command = command(&fixture.config_file());
    command.env("TOLLGATE_PEPPER", pepper);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_starts_from_its_snapshot_while_the_store_is_down_and_follows_it_later() {
    let mut server = server();
    let fixture = world_on(&server).await;
    let customer = fixture.customer(Some("roomy")).await;
    let (suspended, _) = fixture.key(customer.tenant, Mode::Live).await;
    let first = fixture.gateway_with(ROUTES).await;
    assert_eq!(first.status("/", &customer.secret).await, 200);
    assert_eq!(catalog_of(&first).await["source"], "store");
    first.signal("TERM");
    assert!(first.ended().await.success());

    server.stop().unwrap();
    let told = refusal(&fixture, "another pepper than that of the file").await;
    assert!(told.contains("snapshot_refused") && told.contains("another pepper"), "{told}");
    let second = Gateway::start(&fixture.config_file()).await;
    second.wait_until_ready().await;
    assert_eq!(second.status("/", &customer.secret).await, 200);
    let stranger = common::key::Secret::generate(Mode::Live);
    assert_eq!(second.status("/", &stranger).await, 401);
    let catalog = catalog_of(&second).await;
    assert_eq!((&catalog["source"], &catalog["loaded"]), (&"snapshot".into(), &true.into()));
    assert!(catalog["staleness_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(second.metric("tollgate_catalog_confirmed").await, Some(0.0));

    server.restart().unwrap();
    let store = Store::open(&fixture.store_url).await.unwrap();
    store.revoke_key(customer.key, now()).await.unwrap();
    becomes(&second, &customer.secret, 401).await;
    // A change holds as soon as it is read: before the store has said that nothing is newer.
    eventually("the catalog is the store's", || async {
        let is_of_store = catalog_of(&second).await["source"] == "store";
        (is_of_store && second.metric("tollgate_catalog_confirmed").await == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(store.key(suspended).await.unwrap().revoked_at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_of_the_store_is_one_line_when_it_begins_and_one_when_it_ends() {
    let mut server = server();
    let fixture = world_on(&server).await;
    // Credit makes the gateway ask the store while it is away, and not only look for changes.
    let (customer, prepaid) = (fixture.customer(Some("roomy")).await, fixture.customer(Some("prepaid")).await);
    let gateway = fixture.gateway_with(ROUTES).await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let before = gateway.log().len();
    server.stop().unwrap();
    let is_of_store = |line: &Value, event: &str| line["event"] == event && line["what"] == "store";
    gateway.logged("the outage begins", |line| is_of_store(line, "outage_began")).await;
    // Long enough for several attempts of whoever asks the store.
    let staleness = || async {
        assert_eq!(gateway.status("/", &customer.secret).await, 200);
        assert_ne!(gateway.status("/", &prepaid.secret).await, 200);
        catalog_of(&gateway).await["staleness_seconds"].as_f64().filter(|age| *age > 4.0)
    };
    eventually("staleness", staleness).await;
    server.restart().unwrap();
    gateway.logged("the outage ends", |line| is_of_store(line, "outage_ended")).await;
    eventually("the store is followed again", || async {
        catalog_of(&gateway).await["staleness_seconds"].as_f64().filter(|age| *age < 1.0)
    })
    .await;
    let told: Vec<Value> = gateway.log().split_off(before);
    // Its line tells of something else: that what is known grows old.
    let told: Vec<&Value> = told.iter().filter(|line| line["event"] != "catalog_stale").collect();
    let events: Vec<&str> = told.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!((told.len(), events), (2, vec!["outage_began", "outage_ended"]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_snapshot_is_not_started_from() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let first = fixture.gateway().await;
    assert_eq!(first.status("/", &customer.secret).await, 200);
    first.signal("TERM");
    assert!(first.ended().await.success());
    let snapshot = fixture.path("journal/test.snapshot");
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    std::fs::rename(fixture.path("store.db"), fixture.path("elsewhere.db")).unwrap();
    let told = refusal(&fixture, crate::support::PEPPER).await;
    assert!(told.contains("snapshot_refused") && told.contains("its seal does not fit"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn change_that_nobody_announces_is_found_all_the_same() {
    let server = server();
    let fixture = world_on(&server).await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let mut connection = sqlx::PgConnection::connect(&fixture.store_url).await.unwrap();
    let unannounced = format!(
        "BEGIN; UPDATE keys SET revoked_at = 1 WHERE id = '{key}'; UPDATE change_head SET seq = seq + 1, at = 1; \
         INSERT INTO changes (seq, kind, subject, at) SELECT seq, 'key', '{key}', 1 FROM change_head; COMMIT",
        key = customer.key
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(unannounced)).execute(&mut connection).await.unwrap();
    becomes(&gateway, &customer.secret, 401).await;
}

/// Passes bytes on to a server until it is cut: then nothing comes through on the connections that
/// there are, and nobody is told.
struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Relay {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let is_cut = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let lost = Arc::new(AtomicBool::new(is_cut.load(Ordering::Acquire)));
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, Arc::clone(&is_cut), Arc::clone(&lost)));
                tokio::spawn(pass(from_server, to_client, Arc::clone(&is_cut), lost));
            }
        });
        Self { address, cut }
    }
}

/// Passes bytes on until the connection is cut; bytes that were on it then never come, and neither
/// does anything after them.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cut: Arc<AtomicBool>, lost: Arc<AtomicBool>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if cut.load(Ordering::Acquire) || lost.load(Ordering::Acquire) {
            lost.store(true, Ordering::Release);
        } else if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    if lost.load(Ordering::Acquire) {
        // Not even the end is told.
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_was_cut_off_from_the_store_catches_up() {
    let server = server();
    let mut fixture = world_on(&server).await;
    let (customer, other) = (fixture.customer(Some("roomy")).await, fixture.customer(Some("roomy")).await);
    let (before, database) = fixture.store_url.rsplit_once('/').unwrap();
    let (user, place) = before.rsplit_once('@').unwrap();
    let relay = Relay::to(place.parse().unwrap()).await;
    fixture.store_url = format!("{user}@{}/{database}", relay.address);
    let gateway = fixture.gateway().await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);

    relay.cut.store(true, Ordering::Release);
    fixture.store.revoke_key(customer.key, now()).await.unwrap();
    let staleness = || async { catalog_of(&gateway).await["staleness_seconds"].as_f64().filter(|age| *age > 1.5) };
    eventually("staleness", staleness).await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200, "what is known serves on");
    relay.cut.store(false, Ordering::Release);
    becomes(&gateway, &customer.secret, 401).await;
    fixture.store.revoke_key(other.key, now()).await.unwrap();
    becomes(&gateway, &other.secret, 401).await;
    let fresh = || async { (catalog_of(&gateway).await["staleness_seconds"].as_f64()? < 1.0).then_some(()) };
    eventually("freshness", fresh).await;
    tokio::time::timeout(Duration::from_mins(1), fixture.store.ping()).await.unwrap().unwrap();
}
