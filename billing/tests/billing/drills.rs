//! Whatever happens to the processes and servers, the books come out right.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    id::TenantId,
    store::{Engine, Store},
};
use servers::{Postgres, PostgresOptions, eventually};

use crate::{
    deployment::{Deployment, customer, stdout},
    topic::{Topic, assigned_partitions, booked, deployment_on_postgres, wait_for_books},
};

const PARTITIONS: i32 = 4;

/// Between two rounds of usage: there is always some under way, and never a mountain of it.
const PACE: Duration = Duration::from_millis(20);

/// Sends usage until told to stop.
struct Gateway {
    topic: Arc<Topic>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sending: tokio::task::JoinHandle<()>,
}

impl Gateway {
    fn start(topic: Arc<Topic>, tenant: TenantId) -> Self {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let sending = tokio::spawn({
            let (topic, stop, sent) = (Arc::clone(&topic), Arc::clone(&stop), Arc::clone(&sent));
            async move {
                for round in 0.. {
                    for partition in 0..PARTITIONS {
                        topic.send_ten(partition, tenant, round * 10).await;
                        sent.fetch_add(10, Ordering::Relaxed);
                    }
                    // Every tenth round comes twice.
                    if round % 10 == 0 {
                        topic.send_ten(0, tenant, round * 10).await;
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    tokio::time::sleep(PACE).await;
                }
            }
        });
        Self { topic, stop, sent, sending }
    }

    /// Waits until more is booked than now, so that what happens next happens amid work.
    async fn wait_for_progress(&self, store: &Store) {
        let now = self.sent.load(Ordering::Relaxed);
        eventually("progress", async || booked(store).await.0 > now).await;
    }

    /// Stops sending and says how many requests were sent.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

async fn assert_audit_clean(deployment: &Deployment) {
    let output = deployment.run(&["audit", "--store", &deployment.url()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

async fn kill_and_pause(deployment: Deployment) {
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let topic = Arc::new(Topic::new(PARTITIONS.unsigned_abs()));
    let gateway = Gateway::start(Arc::clone(&topic), tenant);
    let mut killed = topic.ingest(&deployment).await;
    for _ in 0..4 {
        gateway.wait_for_progress(&store).await;
        killed.signal("KILL");
        assert_eq!(killed.exit_code().await, None);
        killed = topic.ingest(&deployment).await;
    }
    let mut paused = gateway.topic.ingest(&deployment).await;
    eventually("partitions are shared", async || {
        (assigned_partitions(&killed).len(), assigned_partitions(&paused).len()) == (2, 2)
            && assigned_partitions(&killed).is_disjoint(&assigned_partitions(&paused))
    })
    .await;
    gateway.wait_for_progress(&store).await;
    paused.signal("STOP");
    eventually("the other takes over", async || assigned_partitions(&killed).len() == 4).await;
    // A process that is paused amid a transaction holds the lock on SQLite's file.
    if store.engine() == Engine::Postgres {
        gateway.wait_for_progress(&store).await;
    }
    paused.signal("CONT");
    eventually("partitions are shared again", async || {
        (assigned_partitions(&killed).len(), assigned_partitions(&paused).len()) == (2, 2)
            && assigned_partitions(&killed).is_disjoint(&assigned_partitions(&paused))
    })
    .await;
    gateway.wait_for_progress(&store).await;
    let sent = gateway.stop().await;
    wait_for_books(&store, sent).await;
    assert_audit_clean(&deployment).await;
    for server in [&mut killed, &mut paused] {
        server.signal("TERM");
        assert_eq!(server.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn killed_and_paused_processes_book_everything_once_on_sqlite() {
    kill_and_pause(Deployment::new()).await;
}

#[tokio::test]
async fn killed_and_paused_processes_book_everything_once_on_postgres() {
    kill_and_pause(deployment_on_postgres()).await;
}

#[tokio::test]
async fn database_outage_delays_usage_and_loses_none() {
    let mut postgres = Postgres::start_with(PostgresOptions { fsync: false, ..PostgresOptions::default() }).unwrap();
    postgres.create_database("billing").unwrap();
    let deployment = Deployment::with_store(Some(postgres.url("billing")));
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let topic = Arc::new(Topic::new(PARTITIONS.unsigned_abs()));
    topic.settings(&deployment, Duration::from_mins(1), "");
    let server = deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await;
    let gateway = Gateway::start(Arc::clone(&topic), tenant);
    gateway.wait_for_progress(&store).await;

    postgres.kill().unwrap();
    eventually("the outage is seen", async || server.metric("tollgate_ingest_store_down").await == 1).await;
    assert_eq!(server.get("/health").await.status(), 503);
    assert_eq!(server.log_of("store_unavailable").len(), 1);
    postgres.restart().unwrap();
    eventually("the store is back", async || server.metric("tollgate_ingest_store_down").await == 0).await;
    let sent = gateway.stop().await;
    wait_for_books(&store, sent).await;
    assert_eq!(assigned_partitions(&server).len(), 4);
    assert_eq!(server.log_of("partitions_changed").len(), 1);
    assert_eq!(server.get("/health").await.status(), 200);
    assert_audit_clean(&deployment).await;
}
