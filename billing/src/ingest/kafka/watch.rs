//! Looks at the topic from outside: whether Kafka answers, whether the topic is there, how far each
//! partition goes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{consumer::Consumer as _, types::RDKafkaRespErr};

use super::{Shared, Stop};

/// Interval between looks while all is well.
const INTERVAL: Duration = Duration::from_secs(2);

/// Interval between looks while there is nothing to read.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Longest that Kafka may take to describe a topic. Beyond it, Kafka counts as away.
const DESCRIBE_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Kafka's description of the topic.
enum Described {
    Partitions(usize),
    Missing,
    Refused(String),
}

/// Subscribes once the topic is there, then keeps looking until told to stop.
pub(super) async fn watch(shared: Arc<Shared>, stop: Stop) {
    let mut is_subscribed = false;
    loop {
        let partitions = look(&shared).await;
        let is_there = partitions.is_some();
        if is_there && !is_subscribed {
            match shared.consumer.subscribe(&[&shared.topic]) {
                Ok(()) => is_subscribed = true,
                Err(error) => tracing::error!(event = "not_subscribed", %error, topic = shared.topic),
            }
        }
        if let Some(partitions) = partitions {
            measure_lag(&shared, partitions).await;
        }
        let interval = if is_there { INTERVAL } else { RETRY_INTERVAL };
        // Losing all connections is a reason to look at once; while Kafka is known to be away, it
        // is not news.
        let pause = async {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = shared.services.condition.kafka_doubted(), if is_there => {}
            }
        };
        if stop.unless(pause).await.is_none() {
            return;
        }
    }
}

/// Returns the number of the topic's partitions; none if Kafka does not answer or does not have the
/// topic.
async fn look(shared: &Shared) -> Option<usize> {
    let topic = &shared.topic;
    match describe(shared).await {
        Ok(Described::Partitions(partitions)) => {
            shared.services.condition.kafka_answers(partitions);
            return Some(partitions);
        }
        Ok(Described::Missing) => shared.services.condition.topic_is_missing(format!(
            "Kafka has no topic {topic}; create it, as with `kafka-topics.sh --bootstrap-server HOST:PORT --create \
             --topic {topic} --partitions 12`, or correct `ingest.topic`"
        )),
        Ok(Described::Refused(reason)) => {
            shared
                .services
                .condition
                .kafka_is_unreachable(&format!("Kafka refuses to describe the topic {topic}: {reason}"));
        }
        Err(reason) => shared.services.condition.kafka_is_unreachable(&format!("Kafka does not answer: {reason}")),
    }
    None
}

async fn describe(shared: &Shared) -> Result<Described, String> {
    let topic = shared.topic.clone();
    let metadata = shared.ask(move |consumer| consumer.fetch_metadata(Some(&topic), DESCRIBE_TIME_LIMIT)).await?;
    let Some(described) = metadata.topics().iter().find(|described| described.name() == shared.topic) else {
        return Ok(Described::Missing);
    };
    Ok(match described.error() {
        None if described.partitions().is_empty() => Described::Missing,
        None => Described::Partitions(described.partitions().len()),
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Described::Missing,
        Some(error) => Described::Refused(format!("{error:?}")),
    })
}

/// Measures the lag of every partition of the topic, also of those that no process has now.
async fn measure_lag(shared: &Shared, partitions: usize) {
    match shared.services.store.positions(&shared.topic).await {
        Ok(positions) => shared.lag.replace(positions),
        // The positions known last make the lag grow with the topic, which is what it does while
        // nothing is booked.
        Err(error) => tracing::debug!(event = "positions_unknown", %error),
    }
    // The lag is shown for all partitions at once: half of them would look like a topic that is
    // nearly booked.
    let mut topic = BTreeMap::new();
    for partition in (0..partitions).filter_map(|partition| i32::try_from(partition).ok()) {
        match shared.bounds(partition).await {
            Ok(bounds) => topic.insert(partition, bounds.start..bounds.end),
            Err(error) => {
                tracing::debug!(event = "bounds_unknown", partition, error);
                return;
            }
        };
    }
    shared.lag.observe(&topic);
}
