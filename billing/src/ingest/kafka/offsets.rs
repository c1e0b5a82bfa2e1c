//! Positions and bounds of partitions. Every call to Kafka blocks, so it runs on a blocking thread.

use std::{sync::Arc, time::Duration};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaResult};

use super::{Shared, consumer::UsageConsumer};

/// Longest that Kafka may take to answer one question.
pub(super) const KAFKA_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Offsets that a partition holds: from the first message up to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Bounds {
    /// Returns true if the partition can be read from `offset` on, though there may be nothing yet.
    pub(super) const fn allow(self, offset: i64) -> bool {
        self.start <= offset && offset <= self.end
    }
}

impl Shared {
    /// Lets the partition be read from `offset` on, which has to lie within its bounds. What was
    /// fetched before is forgotten.
    pub(super) async fn read_from(&self, partition: i32, offset: i64) -> Result<(), String> {
        let topic = self.topic.clone();
        self.ask(move |consumer| {
            consumer.seek(&topic, partition, Offset::Offset(offset), KAFKA_TIME_LIMIT)?;
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, partition);
            consumer.resume(&list)
        })
        .await
    }

    /// The first offset of the partition and the one after its last.
    pub(super) async fn bounds(&self, partition: i32) -> Result<Bounds, String> {
        let topic = self.topic.clone();
        let (start, end) =
            self.ask(move |consumer| consumer.fetch_watermarks(&topic, partition, KAFKA_TIME_LIMIT)).await?;
        Ok(Bounds { start, end })
    }

    /// Tells Kafka, in its own time, up to where the partition is booked. Only dashboards read it.
    pub(super) fn tell_booked(&self, partition: i32, position: i64) {
        let mut list = TopicPartitionList::new();
        let told = list
            .add_partition_offset(&self.topic, partition, Offset::Offset(position))
            .and_then(|()| self.consumer.store_offsets(&list));
        if let Err(error) = told {
            // As when the partition went to another process a moment ago.
            tracing::debug!(event = "offset_not_told", partition, position, %error);
        }
    }

    /// Asks Kafka on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&UsageConsumer) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, String> {
        let consumer = Arc::clone(&self.consumer);
        match tokio::task::spawn_blocking(move || question(&consumer)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}
