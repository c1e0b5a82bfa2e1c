//! Every change is published to Kafka, in order for each tenant, whatever fails in between.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    id::TenantId,
    key::{Mode, NewKey, Pepper, Secret},
    store::Store,
    tenant::{TenantKind, TenantStatus, TenantUpdate, lifecycle::NewTenant},
    time::{Clock as _, SystemClock},
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
};
use serde_json::{Value, json};
use servers::{Kafka, eventually};

use crate::{
    deployment::{DEADLINE, Deployment, Server, customer, stderr},
    topic::{self, Topic, deployments},
};

const PARTITIONS: u32 = 3;

/// Another system, which reads the topic from its beginning.
struct Reader {
    consumer: StreamConsumer,
    /// All that came: key and message.
    came: Vec<(String, Value)>,
}

impl Reader {
    fn new(brokers: &str, topic: &str) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", brokers).set("group.id", topic).set("enable.auto.commit", "false");
        let consumer: StreamConsumer = client.create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            partitions.add_partition_offset(topic, partition.cast_signed(), Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        Self { consumer, came: Vec::new() }
    }

    fn seen(&self) -> BTreeSet<i64> {
        self.came.iter().map(|(_, message)| message["seq"].as_i64().unwrap()).collect()
    }

    async fn receive(&mut self) {
        // What it tells of brokers that are away is none of ours.
        let Ok(message) = self.consumer.recv().await else { return };
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        self.came.push((key, serde_json::from_slice(message.payload().unwrap()).unwrap()));
    }

    /// Reads until every change of the store has come.
    async fn catch_up(&mut self, store: &Store) {
        let last = usize::try_from(store.last_change().await.unwrap()).unwrap();
        let all = async {
            while self.seen().len() < last {
                self.receive().await;
            }
        };
        let all = tokio::time::timeout(DEADLINE, all).await;
        assert!(all.is_ok(), "{last} changes, of which came {:?}", self.seen());
        self.assert_in_order();
    }

    /// Whoever passes over numbers that have come before sees the changes of each tenant in order.
    fn assert_in_order(&self) {
        let mut last = BTreeMap::<&str, i64>::new();
        let mut seen = BTreeSet::new();
        for (key, message) in &self.came {
            let seq = message["seq"].as_i64().unwrap();
            if seen.insert(seq) {
                let before = last.insert(key, seq);
                assert!(before.is_none_or(|before| before < seq), "{key}: {seq} comes after {before:?}");
            }
        }
    }

    /// The message of the last change of a subject.
    fn last_of(&self, subject: &str) -> &Value {
        let of_subject = self.came.iter().filter(|(_, message)| message["subject"] == subject);
        &of_subject.max_by_key(|(_, message)| message["seq"].as_i64()).unwrap().1
    }
}

fn settings(deployment: &Deployment, brokers: &str, topic: &str) {
    let text = format!(
        "listen: 127.0.0.1:0\nstore: {}\npepper_file: pepper\nchanges:\n  brokers: {brokers}\n  topic: {topic}\n",
        deployment.url()
    );
    std::fs::write(deployment.path("billing.yaml"), text).unwrap();
}

async fn publish(deployment: &Deployment, topic: &Topic) -> Server {
    settings(deployment, &topic::bootstrap(), &topic.name);
    deployment.serve().await
}

async fn rename(store: &Store, tenant: TenantId, name: &str) {
    let update = TenantUpdate { name: Some(name.into()) };
    store.update_tenant(tenant, &update, None, SystemClock.now()).await.unwrap();
}

async fn nothing_is_pending(server: &Server) {
    eventually("nothing is pending", async || server.metric("tollgate_changes_pending").await == 0).await;
}

/// A customer that inherits its plan.
async fn inheriting_tenant(store: &Store, root: TenantId) -> TenantId {
    let new = |parent, kind, plan: Option<&str>| NewTenant {
        parent: Some(parent),
        kind,
        name: "Inheriting".into(),
        zone: "UTC".parse().unwrap(),
        plan: plan.map(|plan| plan.parse().unwrap()),
    };
    let now = SystemClock.now();
    let reseller = store.create_tenant(&new(root, TenantKind::Reseller, Some("growth")), now).await.unwrap();
    store.create_tenant(&new(reseller.id, TenantKind::Customer, None), now).await.unwrap().id
}

fn new_key(tenant: TenantId, secret: &Secret) -> NewKey {
    let pepper = Pepper::new(b"0123456789abcdef").unwrap();
    NewKey { scopes: vec!["read".into()], ..NewKey::new(tenant, "shop", secret, &pepper) }
}

#[tokio::test]
async fn every_change_is_published_with_its_resource() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let now = SystemClock.now();
        let acme = customer(&store, root, "Acme", "Europe/Berlin", "growth").await.id;
        let inheriting = inheriting_tenant(&store, root).await;
        let secret = Secret::generate(Mode::Live);
        let new = new_key(acme, &secret);
        let key = store.create_key(&new, now).await.unwrap();
        store.revoke_key(key.id, now).await.unwrap();
        store.set_tenant_status(acme, TenantStatus::Suspended, now).await.unwrap();
        store.deprecate_plan(&"growth".parse().unwrap(), true, now).await.unwrap();

        let topic = Topic::new(PARTITIONS);
        let server = publish(&deployment, &topic).await;
        let mut reader = Reader::new(&topic::bootstrap(), &topic.name);
        reader.catch_up(&store).await;
        nothing_is_pending(&server).await;

        let tenant = reader.last_of(&acme.to_string());
        assert_eq!((&tenant["kind"], &tenant["tenant"]), (&json!("tenant"), &json!(acme)));
        let document = &tenant["document"];
        assert_eq!((&document["name"], &document["status"]), (&json!("Acme"), &json!("suspended")));
        assert_eq!(document["subscriptions"][0]["plan"], "growth");
        assert_eq!(document["subscriptions"][0]["starts_at"], "2026-02-01T00:00:00Z");
        assert_eq!(document["effective"]["holder"], json!(acme));
        let inherited = &reader.last_of(&inheriting.to_string())["document"];
        assert_eq!((&inherited["subscriptions"], &inherited["effective"]["plan"]), (&json!([]), &json!("growth")));
        let revoked = reader.last_of(&key.id.to_string());
        assert_eq!((&revoked["tenant"], &revoked["document"]["status"]), (&json!(acme), &json!("revoked")));
        assert_eq!(revoked["document"]["hint"], json!(key.hint));
        let plans = reader.came.iter().filter(|(_, message)| message["kind"] == "plans");
        let (plans_key, plans) = plans.max_by_key(|(_, message)| message["seq"].as_i64()).unwrap();
        assert_eq!((plans_key.as_str(), &plans["subject"]), ("plans", &Value::Null));
        assert!(plans.get("tenant").is_none());
        let growth = plans["document"]["plans"].as_array().unwrap().iter().find(|plan| plan["id"] == "growth");
        assert_eq!(growth.unwrap(), &json!({ "id": "growth", "owner": root, "version": 1, "deprecated": true }));
        for (key, message) in &reader.came {
            let text = message.to_string();
            assert!(
                !text.contains(&new.hash.to_hex()) && !text.contains(secret.expose()) && !text.contains("hash"),
                "{text}"
            );
            assert_eq!(message["tenant"].as_str().unwrap_or("plans"), key);
        }
    }
}

#[tokio::test]
async fn restarted_publisher_continues_after_the_last_acknowledged_change() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let tenants = [root, customer(&store, root, "A", "UTC", "growth").await.id];
        let topic = Topic::new(PARTITIONS);
        let mut reader = Reader::new(&topic::bootstrap(), &topic.name);
        let mut server = publish(&deployment, &topic).await;
        reader.catch_up(&store).await;
        nothing_is_pending(&server).await;
        server.signal("TERM");
        assert_eq!(server.exit_code().await, Some(0));
        let told = reader.came.len();
        assert_eq!(told, usize::try_from(store.last_change().await.unwrap()).unwrap());

        for number in 0..5 {
            for tenant in tenants {
                rename(&store, tenant, &format!("{number}")).await;
            }
        }
        let again = deployment.serve().await;
        reader.catch_up(&store).await;
        nothing_is_pending(&again).await;
        assert_eq!(reader.came.len(), told + 10);
        assert_eq!(again.metric("tollgate_changes_published_total").await, 10);
    }
}

#[tokio::test]
async fn two_publishers_and_a_kill_repeat_messages_but_lose_none() {
    for deployment in deployments() {
        let (store, root) = deployment.store().await;
        let tenants = [root, customer(&store, root, "A", "UTC", "growth").await.id];
        let topic = Topic::new(PARTITIONS);
        let _one = publish(&deployment, &topic).await;
        let mut other = deployment.serve().await;
        for number in 0..60 {
            for tenant in tenants {
                rename(&store, tenant, &format!("{number}")).await;
            }
            if number == 30 {
                other.signal("KILL");
                other.exit_code().await;
                other = deployment.serve().await;
            }
        }
        let mut reader = Reader::new(&topic::bootstrap(), &topic.name);
        reader.catch_up(&store).await;
        nothing_is_pending(&other).await;
        for tenant in tenants {
            assert_eq!(reader.last_of(&tenant.to_string())["document"]["name"], "59");
        }
    }
}

#[tokio::test]
async fn broker_outage_delays_changes_and_loses_none() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let mut kafka = Kafka::start().unwrap();
    kafka.create_topic("plans.changes", PARTITIONS).unwrap();
    settings(&deployment, &kafka.bootstrap(), "plans.changes");
    let server = deployment.serve().await;
    Reader::new(&kafka.bootstrap(), "plans.changes").catch_up(&store).await;
    nothing_is_pending(&server).await;

    kafka.kill().unwrap();
    for number in 0..10 {
        rename(&store, root, &format!("{number}")).await;
    }
    let told = server.logged("changes_not_published").await;
    assert!(told["reason"].as_str().unwrap().starts_with("no answer for 5 s"), "{told}");
    assert!(server.metric("tollgate_changes_pending").await >= 10);
    assert!(server.metric("tollgate_changes_lag_seconds").await >= 1);
    assert_eq!(server.metric("tollgate_changes_down").await, 1);
    assert_eq!(server.get("/health").await.status(), 200);

    let kafka = tokio::task::spawn_blocking(move || kafka.restart().map(|()| kafka)).await.unwrap().unwrap();
    let mut reader = Reader::new(&kafka.bootstrap(), "plans.changes");
    reader.catch_up(&store).await;
    nothing_is_pending(&server).await;
    server.logged("changes_published_again").await;
    assert_eq!(
        (server.metric("tollgate_changes_down").await, server.metric("tollgate_changes_lag_seconds").await),
        (0, 0)
    );
    assert_eq!(server.log_of("changes_not_published").len(), 1);
}

#[tokio::test]
async fn missing_topic_of_changes_is_named_and_awaited() {
    let deployment = Deployment::new();
    let (store, _) = deployment.store().await;
    let topic = Topic::missing();
    let server = publish(&deployment, &topic).await;
    let missing = server.logged("changes_topic_missing").await;
    let reason = missing["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("--create --topic {}", topic.name)) && reason.contains("`changes.topic`"));

    topic.create(PARTITIONS);
    let mut reader = Reader::new(&topic::bootstrap(), &topic.name);
    reader.catch_up(&store).await;
    assert_eq!(server.log_of("changes_topic_missing").len(), 1);
}

#[tokio::test]
async fn unknown_client_property_of_changes_is_named() {
    let deployment = Deployment::new();
    settings(&deployment, "127.0.0.1:1", "plans.changes\n  properties: { sasl.pasword: s3cret }");
    let output = deployment.run(&["serve", "--config", "billing.yaml"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`sasl.pasword` in `changes.properties`"), "{}", stderr(&output));
}
