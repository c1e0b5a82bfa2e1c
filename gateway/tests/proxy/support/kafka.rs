//! The records of a topic, read as `billing ingest` reads them: each stream in order, by its
//! numbers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use common::usage::{UsageBatch, UsageEntry, UsageRecord};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use super::DEADLINE;

/// The records of a topic so far.
pub(crate) struct Books {
    consumer: BaseConsumer,
    streams: BTreeMap<String, Stream>,
    records: Vec<UsageRecord>,
    /// Entries that came more than once.
    pub(crate) repeated: u64,
}

struct Stream {
    partition: i32,
    next_seq: u64,
}

impl Books {
    /// The books of a topic with so many partitions.
    pub(crate) fn open(brokers: &str, topic: &str, partitions: i32) -> Self {
        let mut config = ClientConfig::new();
        let consumer: BaseConsumer = config.set("bootstrap.servers", brokers).set("group.id", "test").create().unwrap();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        Self { consumer, streams: BTreeMap::new(), records: Vec::new(), repeated: 0 }
    }

    /// Reads on until there are so many requests.
    pub(crate) fn wait_for(&mut self, requests: usize) -> &[UsageRecord] {
        let deadline = Instant::now() + DEADLINE;
        while self.records.len() < requests {
            assert!(Instant::now() < deadline, "{} of {requests} requests arrived", self.records.len());
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) {
                let batch = UsageBatch::decode(message.payload().unwrap()).unwrap();
                assert_eq!(message.key().unwrap(), batch.stream.to_string().as_bytes());
                self.book(message.partition(), batch);
            }
        }
        &self.records
    }

    fn book(&mut self, partition: i32, batch: UsageBatch) {
        let name = batch.stream.to_string();
        let stream = self.streams.entry(name.clone()).or_insert(Stream { partition, next_seq: 0 });
        assert_eq!(stream.partition, partition, "{name} changed its partition");
        assert!(batch.first_seq <= stream.next_seq, "{name} jumps from {} to {}", stream.next_seq, batch.first_seq);
        for (seq, entry) in (batch.first_seq..).zip(batch.entries) {
            if seq < stream.next_seq {
                self.repeated += 1;
                continue;
            }
            stream.next_seq = seq + 1;
            if let UsageEntry::Request(record) = entry {
                self.records.push(record);
            }
        }
    }
}
