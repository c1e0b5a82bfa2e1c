//! Usage on its way through a real Kafka.

use std::{path::Path, sync::Arc, time::Duration};

use common::{
    id::{KeyId, TenantId},
    key::Mode,
    usage::UsageRecord,
};
use gateway::meter::{KafkaSettings, KafkaSink, Meter, MeterSettings, NewTopic};
use servers::Kafka;
use tokio::sync::watch;

use crate::support::{
    Fixture, ROUTES, eventually,
    kafka::Books,
    now,
    process::{Gateway, command},
};

/// Records between two mishaps of the broker.
const PART: u64 = 3_000;

fn meter(directory: &Path) -> Arc<Meter> {
    let settings = MeterSettings { lanes: 2, budget_bytes: 64 << 20, ..MeterSettings::new(directory, "edge-1") };
    Meter::open(settings, &prometheus::Registry::new()).unwrap()
}

/// Appends records whose units are their numbers, from two threads as the gateway does.
fn append(meter: &Arc<Meter>, numbers: std::ops::Range<u64>) {
    let record = |number| UsageRecord {
        at: now(),
        tenant: TenantId::from_u128(1),
        key: KeyId::from_u128(2),
        route: "search".into(),
        meter: "requests".into(),
        units: number,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    };
    std::thread::scope(|scope| {
        for remainder in 0..2 {
            let numbers = numbers.clone().filter(move |number| number % 2 == remainder);
            scope.spawn(move || {
                for number in numbers {
                    meter.record(&record(number)).unwrap();
                    if number % 100 < 2 {
                        // Spreads the records over the mishap that is to come.
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_that_is_killed_or_falls_silent_loses_nothing_and_keeps_streams_in_order() {
    let mut kafka = Kafka::start().unwrap();
    let settings = KafkaSettings {
        brokers: kafka.bootstrap(),
        topic: "usage.events".into(),
        create_topic: Some(NewTopic { partitions: 3, replication: 1 }),
        properties: [("message.timeout.ms", "2000"), ("socket.timeout.ms", "2000"), ("request.timeout.ms", "2000")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    let directory = tempfile::tempdir().unwrap();
    let meter = meter(directory.path());
    let (stop, stopped) = watch::channel(false);
    let sink = Arc::new(KafkaSink::new(settings).unwrap());
    let drain = tokio::spawn(Arc::clone(&meter).run(sink, stopped));

    append(&meter, 0..PART);
    let mut books = Books::open(&kafka.bootstrap(), "usage.events", 3);
    eventually("the topic", || async { (kafka.topics().unwrap().get("usage.events") == Some(&3)).then_some(()) }).await;
    books.wait_for(usize::try_from(PART).unwrap());
    assert_eq!(books.repeated, 0, "nothing happened to the broker yet");

    let while_appending = |numbers: std::ops::Range<u64>, mishap: &mut dyn FnMut()| {
        std::thread::scope(|scope| {
            scope.spawn(|| append(&meter, numbers));
            mishap();
        });
    };
    while_appending(PART..2 * PART, &mut || kafka.kill().unwrap());
    kafka.restart().unwrap();
    while_appending(2 * PART..3 * PART, &mut || kafka.pause().unwrap());
    // Longer than a batch is waited for: it is given up and offered again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    kafka.resume().unwrap();
    append(&meter, 3 * PART..4 * PART);

    let records = books.wait_for(usize::try_from(4 * PART).unwrap());
    let mut numbers: Vec<u64> = records.iter().map(|record| record.units).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..4 * PART), "each record once");
    stop.send_replace(true);
    drain.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topic_is_told_and_holds_up_no_request() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let kafka = Kafka::start().unwrap();
    fixture.configure(ROUTES);
    let mut command = command(&fixture.config_file());
    command.env("TOLLGATE_KAFKA", kafka.bootstrap());
    let gateway = Gateway::spawn(command).await;
    gateway.wait_until_ready().await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let problem = async || {
        let (status, report) = gateway.admin("/health/ready").await;
        assert_eq!(status, 200, "{report}");
        serde_json::from_str::<serde_json::Value>(&report).unwrap()["usage_problem"].as_str().map(str::to_owned)
    };
    let told = eventually("the missing topic", &problem).await;
    assert!(told.contains("`usage.events`") && told.contains("`usage.kafka.create_topic`"), "{told}");
    assert_eq!(gateway.logged("the missing topic", |line| line["event"] == "topic_unusable").await["level"], "ERROR");

    kafka.create_topic("usage.events", 2).unwrap();
    let mut books = Books::open(&kafka.bootstrap(), "usage.events", 2);
    assert_eq!(books.wait_for(1)[0].tenant, customer.tenant);
    eventually("no more problem", || async { problem().await.is_none().then_some(()) }).await;
    let told = gateway.log().into_iter().filter(|line| line["event"] == "topic_unusable").count();
    assert_eq!(told, 1, "{}", gateway.output());
    assert!(fixture.billing.records(customer.tenant).is_empty());
}
