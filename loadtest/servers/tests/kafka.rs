//! A Kafka broker under faults: tests and drills rely on this behaviour.

use servers::Kafka;

#[test]
fn killed_broker_keeps_its_topics() {
    let mut kafka = Kafka::start().unwrap();
    let bootstrap = kafka.bootstrap();
    assert!(kafka.topics().unwrap().is_empty());
    kafka.create_topic("kept", 6).unwrap();
    let error = kafka.create_topic("kept", 6).unwrap_err().to_string();
    assert!(error.contains("already exists"), "{error}");

    kafka.kill().unwrap();
    assert!(!kafka.is_ready());
    assert!(kafka.create_topic("other", 1).is_err());

    kafka.restart().unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert_eq!(kafka.topics().unwrap(), [("kept".to_owned(), 6)].into());

    let directory = kafka.directory().to_owned();
    drop(kafka);
    assert!(!directory.exists(), "{} is still there", directory.display());
}

#[test]
fn paused_or_stopped_broker_does_not_answer() {
    let mut kafka = Kafka::start().unwrap();
    kafka.pause().unwrap();
    assert!(!kafka.is_ready());
    kafka.resume().unwrap();
    kafka.create_topic("after", 1).unwrap();

    kafka.stop().unwrap();
    assert!(!kafka.is_ready());
    kafka.restart().unwrap();
    assert_eq!(kafka.topics().unwrap(), [("after".to_owned(), 1)].into());
}
