//! Usage from Kafka is booked exactly once, or put aside, and never holds up the usage after it.

use std::time::Duration;

use common::{
    store::Store,
    usage::{UsageBatch, UsageEntry, booking::Booking, positions::Position},
};
use serde_json::{Value, json};
use servers::{Kafka, eventually};

use crate::{
    deployment::{Deployment, Server, batch, customer, request, stderr, stdout},
    topic::{SHORT_SESSION, Topic, assigned_partitions, booked, bootstrap, deployments, ten_requests, wait_for_books},
};

/// Longer than any test may take.
const LONG_SESSION: Duration = Duration::from_mins(5);

async fn audit(deployment: &Deployment) -> (Option<i32>, Value) {
    let output = deployment.run(&["audit", "--output", "json", "--store", &deployment.url()]).await;
    (output.status.code(), serde_json::from_str(&stdout(&output)).unwrap())
}

#[tokio::test]
async fn usage_in_any_order_is_booked_once() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let topic = Topic::new(3);
        topic.send_ten(0, tenant, 0).await;
        topic.send_ten(1, tenant, 10).await;
        topic.send_ten(2, tenant, 0).await;
        let mut server = topic.ingest(&deployment).await;
        wait_for_books(&store, 30).await;
        assert_eq!(server.logged("usage_gap").await["gap"], 10);

        topic.send_ten(0, tenant, 0).await;
        topic.send_ten(1, tenant, 0).await;
        // The same batch through another partition, as when the topic was given more of them.
        topic.send(2, &ten_requests(0, tenant, 0).encode()).await;
        topic.send_ten(2, tenant, 10).await;
        wait_for_books(&store, 50).await;
        eventually("all is read", async || {
            server.metric("tollgate_ingest_entries_total{outcome=\"replayed\"}").await == 20
        })
        .await;
        assert_eq!(server.metric("tollgate_ingest_entries_total{outcome=\"booked\"}").await, 50);
        assert_eq!(server.metric("tollgate_usage_gap_entries_total").await, 10);
        assert_eq!(server.get("/health").await.status(), 200);
        let (exit_code, report) = audit(&deployment).await;
        assert_eq!(
            (exit_code, &report["clean"], &report["open_gaps"]),
            (Some(0), &json!(true), &json!([])),
            "{report}"
        );

        server.signal("TERM");
        assert_eq!(server.exit_code().await, Some(0));
        topic.send_ten(0, tenant, 10).await;
        let again = topic.ingest(&deployment).await;
        wait_for_books(&store, 60).await;
        assert_eq!(again.metric("tollgate_ingest_entries_total{outcome=\"replayed\"}").await, 0);
    }
}

#[tokio::test]
async fn undecodable_message_is_put_aside_and_blocks_nothing() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let topic = Topic::new(1);
        topic.send_ten(0, tenant, 0).await;
        topic.send(0, b"no usage at all").await;
        topic.send_ten(0, tenant, 10).await;
        topic.send(0, b"").await;
        topic.send_ten(0, tenant, 20).await;
        let server = topic.ingest(&deployment).await;
        wait_for_books(&store, 30).await;
        assert_eq!(server.metric("tollgate_ingest_dead_letters_total").await, 2);
        assert_eq!(server.logged("dead_letter").await["offset"], 1);

        let url = deployment.url();
        let (exit_code, report) = audit(&deployment).await;
        assert_eq!((exit_code, &report["dead_letters"]), (Some(1), &json!(2)), "{report}");
        let shown = deployment.run(&["dead-letters", "show", "1", "--store", &url]).await;
        assert!(stdout(&shown).contains("no usage at all"), "{}", stdout(&shown));
        let replayed = deployment.run(&["dead-letters", "replay", "--all", "--store", &url]).await;
        assert_eq!(replayed.status.code(), Some(1));
        assert!(stdout(&replayed).contains("1: not booked: batch"), "{}", stdout(&replayed));
        for id in ["1", "2"] {
            assert_eq!(deployment.run(&["dead-letters", "resolve", id, "--store", &url]).await.status.code(), Some(0));
        }
        assert_eq!(audit(&deployment).await.0, Some(0));
        assert_eq!(booked(&store).await, (30, 30));
    }
}

#[tokio::test]
async fn unbookable_batch_is_put_aside_alone() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let topic = Topic::new(1);
        let beyond = || UsageEntry::Request(request(tenant, "2026-11-10T12:00:00Z", i64::MAX.unsigned_abs()));
        topic.send_ten(0, tenant, 0).await;
        topic.send(0, &batch(10, [beyond(), beyond()]).encode()).await;
        topic.send(0, &ten_requests(0, tenant, 12).encode()).await;
        let server = topic.ingest(&deployment).await;
        wait_for_books(&store, 20).await;
        assert_eq!(server.metric("tollgate_ingest_dead_letters_total").await, 2, "one for each entry");
        let (exit_code, report) = audit(&deployment).await;
        assert_eq!((exit_code, &report["dead_letters"], &report["breaches"]), (Some(1), &json!(2), &json!([])));
        assert_eq!((&report["open_gaps"][0]["from"], &report["open_gaps"][0]["to"]), (&json!(10), &json!(12)));
    }
}

#[tokio::test]
async fn rereading_the_topic_changes_nothing_and_rebuilds_an_empty_store() {
    for (deployment, empty) in deployments().into_iter().zip(deployments()) {
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let topic = Topic::new(2);
        for first_seq in [0, 10, 30, 20] {
            topic.send_ten(0, tenant, first_seq).await;
            topic.send_ten(1, tenant, first_seq).await;
        }
        topic.send(0, b"no usage at all").await;
        let mut server = topic.ingest(&deployment).await;
        wait_for_books(&store, 80).await;
        server.signal("TERM");
        assert_eq!(server.exit_code().await, Some(0));
        let (_, before) = audit(&deployment).await;

        let again = deployment.start(&["ingest", "--config", "billing.yaml", "--from-beginning"], "ingesting").await;
        let replayed = "tollgate_ingest_entries_total{outcome=\"replayed\"}";
        eventually("all is read again", async || again.metric(replayed).await == 80).await;
        assert_eq!(again.metric("tollgate_ingest_entries_total{outcome=\"booked\"}").await, 0);
        let (_, after) = audit(&deployment).await;
        for what in ["streams", "periods", "breaches", "open_gaps", "dead_letters"] {
            assert_eq!(after[what], before[what], "{what}");
        }
        drop(again);

        let one = ["ingest", "--config", "billing.yaml", "--from-beginning", "--partition", "1"];
        let mut again = deployment.start(&one, "ingesting").await;
        let reset = again.logged("positions_reset").await;
        assert_eq!((&reset["partition"], &reset["partitions"]), (&json!(1), &json!(1)));
        eventually("the partition is read again", async || again.metric(replayed).await == 40).await;
        again.signal("TERM");
        assert_eq!(again.exit_code().await, Some(0));
        assert_eq!(audit(&deployment).await.1["streams"], before["streams"]);

        let (rebuilt, _) = empty.store().await;
        let _server = topic.ingest(&empty).await;
        wait_for_books(&rebuilt, 80).await;
        eventually("the dead letter", async || rebuilt.dead_letter_count().await.unwrap() == 1).await;
        let (_, report) = audit(&empty).await;
        assert_eq!(report["streams"], before["streams"]);
    }
}

#[tokio::test]
async fn deleted_messages_are_reported_and_the_rest_is_booked() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let topic = Topic::new(1);
        for first_seq in [0, 10, 20] {
            topic.send_ten(0, tenant, first_seq).await;
        }
        book(&store, &topic, &[ten_requests(0, tenant, 0)], 0, 1).await;
        topic.delete_before(2).await;
        let server = topic.ingest(&deployment).await;
        wait_for_books(&store, 20).await;
        let gone = server.logged("position_gone").await;
        assert_eq!((&gone["position"], &gone["found"]), (&json!(1), &json!(2)));
        assert_eq!(server.logged("usage_gap").await["gap"], 10);
        assert_eq!(server.metric("tollgate_ingest_lost_messages_total").await, 1);
        let listed = deployment.run(&["dead-letters", "list", "--store", &deployment.url()]).await;
        assert!(stdout(&listed).contains("deleted from the topic before they were booked"), "{}", stdout(&listed));
    }
}

#[tokio::test]
async fn recreated_topic_is_read_from_its_beginning() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let topic = Topic::new(1);
    topic.send_ten(0, tenant, 0).await;
    topic.send_ten(0, tenant, 10).await;
    book(&store, &topic, &[ten_requests(0, tenant, 0)], 0, 50).await;
    let server = topic.ingest(&deployment).await;
    wait_for_books(&store, 20).await;
    assert_eq!(server.logged("position_gone").await["position"], 50);
    assert_eq!(store.position(&topic.name, 0).await.unwrap(), Some(2));
}

async fn book(store: &Store, topic: &Topic, batches: &[UsageBatch], from: i64, to: i64) {
    let position = Position { topic: topic.name.clone(), partition: 0, from, to };
    let booking = Booking { batches, dead_letters: &[], position: Some(&position) };
    store.book_all(&booking, "2026-11-10T12:00:01Z".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn missing_topic_is_named_and_awaited() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let topic = Topic::missing();
    let server = topic.ingest(&deployment).await;
    let missing = server.logged("topic_missing").await;
    assert!(missing["reason"].as_str().unwrap().contains(&format!("--create --topic {}", topic.name)), "{missing}");
    let health = server.get("/health").await;
    assert_eq!(health.status(), 503);
    assert_eq!(health.json::<Value>().await.unwrap()["code"], "topic_missing");

    topic.create(2);
    topic.send_ten(1, root, 0).await;
    wait_for_books(&store, 10).await;
    assert_eq!(server.get("/health").await.status(), 200);
    assert_eq!(server.log_of("topic_missing").len(), 1);
}

#[tokio::test]
async fn keep_raw_false_keeps_sums_only() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let topic = Topic::new(1);
        topic.send_ten(0, root, 0).await;
        topic.settings(&deployment, SHORT_SESSION, "  keep_raw: false\n");
        let _server = deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await;
        wait_for_books(&store, 10).await;
        let (exit_code, report) = audit(&deployment).await;
        assert_eq!(exit_code, Some(0));
        assert_eq!(report["streams"][0]["recorded"]["requests"], 0);
        assert_eq!(report["streams"][0]["dropped"]["requests"], 10);
    }
}

/// Restarted within its session, a process of the same name goes on at once: no rebalance, and
/// nobody's session ends. The session here is longer than the test may take.
#[tokio::test]
async fn killed_ingest_restarted_under_its_name_books_on_before_its_session_ends() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let topic = Topic::new(2);
    topic.settings(&deployment, LONG_SESSION, "  name: ingest-1\n");
    let start = async || deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await;
    let mut killed = start().await;
    topic.send_ten(0, root, 0).await;
    topic.send_ten(1, root, 0).await;
    wait_for_books(&store, 20).await;
    killed.signal("KILL");
    assert_eq!(killed.exit_code().await, None);
    let _restarted = start().await;
    topic.send_ten(0, root, 10).await;
    topic.send_ten(1, root, 10).await;
    wait_for_books(&store, 40).await;
}

/// Kafka is paused for longer than the session timeout: the client of `billing ingest` gives its
/// partitions up and joins again, and a named member, which the group may count twice then, does
/// not take its own name as taken.
#[tokio::test]
async fn brokers_paused_beyond_the_session_timeout_let_ingest_join_again_and_book_all_once() {
    let kafka = Kafka::start().unwrap();
    let members = async |more: &str| {
        let (deployment, topic) = (Deployment::new(), Topic::on(&kafka, 2));
        let (store, root) = deployment.store().await;
        topic.settings(&deployment, SHORT_SESSION, more);
        let server = deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await;
        for partition in [0, 1] {
            topic.send_ten(partition, root, 0).await;
        }
        wait_for_books(&store, 20).await;
        (deployment, topic, store, root, server)
    };
    let mut members = [members("").await, members("  name: ingest-1\n").await];

    kafka.pause().unwrap();
    for (_, _, _, _, server) in &members {
        eventually("the session times out", async || assigned_partitions(server).is_empty()).await;
    }
    tokio::time::sleep(SHORT_SESSION).await;
    kafka.resume().unwrap();

    for (_, topic, store, root, server) in &mut members {
        for partition in [0, 1] {
            topic.send_ten(partition, *root, 10).await;
        }
        wait_for_books(store, 40).await;
        eventually("both partitions are assigned", async || assigned_partitions(server).len() == 2).await;
        assert!(assignments(server) >= 2, "it joined again: {:?}", server.log_of("partitions_changed"));
        let client_lines = server.log_of("kafka_client");
        let is_heard = client_lines.iter().any(|line| line["facility"] == "SESSTMOUT");
        assert!(is_heard, "the client's report of the lost session: {client_lines:?}");
        // Health follows the next look at the brokers.
        eventually("healthy again", async || server.get("/health").await.status() == 200).await;
        server.signal("TERM");
        assert_eq!(server.exit_code().await, Some(0), "it ended only when told to");
        assert_eq!(booked(store).await, (40, 40));
    }
}

fn assignments(server: &Server) -> usize {
    server.log_of("partitions_changed").iter().filter(|line| line["is_assignment"] == true).count()
}

#[tokio::test]
async fn second_ingest_under_the_same_name_ends_the_first_with_a_reason() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let topic = Topic::new(1);
    topic.settings(&deployment, SHORT_SESSION, "  name: ingest-1\n");
    let start = async || deployment.start(&["ingest", "--config", "billing.yaml"], "ingesting").await;
    let mut first = start().await;
    topic.send_ten(0, root, 0).await;
    wait_for_books(&store, 10).await;
    let _second = start().await;
    assert_eq!(first.exit_code().await, Some(1));
    first.complains("took over the name `ingest-1`").await;
    topic.send_ten(0, root, 10).await;
    wait_for_books(&store, 20).await;
}

#[tokio::test]
async fn audit_reports_messages_in_kafka_that_are_not_booked() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let topic = Topic::new(2);
    let mut server = topic.ingest(&deployment).await;
    topic.send_ten(0, root, 0).await;
    wait_for_books(&store, 10).await;
    server.signal("TERM");
    assert_eq!(server.exit_code().await, Some(0));
    for first_seq in [10, 20, 30] {
        topic.send_ten(0, root, first_seq).await;
    }
    topic.send_ten(1, root, 0).await;

    let json = deployment.run(&["audit", "--config", "billing.yaml", "--output", "json"]).await;
    assert_eq!(json.status.code(), Some(0), "{}", stderr(&json));
    let report: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!((&report["clean"], &report["kafka"]["messages"]), (&json!(true), &json!(4)), "{report}");
    assert_eq!(report["kafka"]["partitions"], json!({"0": 3, "1": 1}));
    let table = stdout(&deployment.run(&["audit", "--config", "billing.yaml"]).await);
    assert!(table.contains("not complete: 4 messages of the topic"), "{table}");

    let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    let nowhere = settings.replace(&bootstrap(), "127.0.0.1:1");
    std::fs::write(deployment.path("billing.yaml"), nowhere).unwrap();
    let table = stdout(&deployment.run(&["audit", "--config", "billing.yaml"]).await);
    assert!(table.contains("how much lies in Kafka is not known"), "{table}");
}

#[tokio::test]
async fn lag_counts_unbooked_messages() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let topic = Topic::new(2);
    topic.send_ten(0, root, 0).await;
    let server = topic.ingest(&deployment).await;
    wait_for_books(&store, 10).await;
    eventually("both partitions are assigned", async || assigned_partitions(&server).len() == 2).await;
    for partition in [0, 1] {
        let lag = format!("tollgate_ingest_lag_messages{{partition=\"{partition}\"}} 0");
        let text = async || server.get("/metrics").await.text().await.unwrap();
        eventually(&lag, async || text().await.lines().any(|line| line == lag)).await;
    }
}

#[tokio::test]
async fn unknown_client_property_is_named() {
    let deployment = Deployment::new();
    let topic = Topic::missing();
    topic.settings(&deployment, SHORT_SESSION, "");
    let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    let misspelt = settings.replace("session.timeout.ms", "sesion.timeout.ms");
    std::fs::write(deployment.path("billing.yaml"), misspelt).unwrap();
    let output = deployment.run(&["ingest", "--config", "billing.yaml"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`sesion.timeout.ms` in `ingest.properties`"), "{}", stderr(&output));
}
