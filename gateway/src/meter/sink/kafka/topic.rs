//! The topic: checks that it exists, and creates it if the settings allow that.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic as TopicRequest, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    producer::Producer as _,
    types::RDKafkaErrorCode as Code,
};
use tokio::task::spawn_blocking;

use super::{super::error::SinkError, Client, settings::KafkaSettings};

/// Longest time for the brokers to list topics, or to create one.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Checks that the topic exists, and creates it if it is missing and the settings allow that.
pub(super) async fn ensure(settings: &KafkaSettings, client: &Arc<Client>) -> Result<(), SinkError> {
    let Err(missing) = look(settings, client).await? else {
        return Ok(());
    };
    let fault = |reason| Err(SinkError::Topic { topic: settings.topic.clone(), reason });
    if !matches!(missing, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) {
        return fault(format!("{missing}; check what this user may do with it"));
    }
    let Some(new) = settings.create_topic else {
        let advice = "create it, or allow the gateway to with `usage.kafka.create_topic`";
        return fault(format!("it does not exist; {advice}"));
    };
    let request = TopicRequest::new(
        &settings.topic,
        i32::from(new.partitions),
        TopicReplication::Fixed(i32::from(new.replication)),
    );
    let failed = |error: &KafkaError| SinkError::Away(client.heard.explain(error));
    let admin: AdminClient<DefaultClientContext> =
        settings.client()?.create().map_err(|error| SinkError::Setup(error.to_string()))?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_DEADLINE)).request_timeout(Some(ANSWER_DEADLINE));
    let outcomes = admin.create_topics([&request], &options).await.map_err(|error| failed(&error))?;
    match outcomes.into_iter().next() {
        Some(Err((_, code))) if code != Code::TopicAlreadyExists => {
            fault(format!("it does not exist and cannot be created as `usage.kafka.create_topic` says: {code}"))
        }
        _ => {
            let (partitions, replication) = (new.partitions, new.replication);
            tracing::info!(event = "topic_created", topic = settings.topic, partitions, replication);
            Ok(())
        }
    }
}

/// Asks the brokers for the topic. The inner error is the reason why it cannot be used.
async fn look(settings: &KafkaSettings, client: &Arc<Client>) -> Result<Result<(), Code>, SinkError> {
    let (topic, asked) = (settings.topic.clone(), Arc::clone(client));
    let answer = spawn_blocking(move || asked.producer.client().fetch_metadata(Some(&topic), ANSWER_DEADLINE));
    let metadata = match answer.await {
        Ok(Ok(metadata)) => metadata,
        Ok(Err(error)) => return Err(SinkError::Away(client.heard.explain(&error))),
        Err(error) => return Err(SinkError::Away(error.to_string())),
    };
    let Some(found) = metadata.topics().iter().find(|topic| topic.name() == settings.topic) else {
        return Ok(Err(Code::UnknownTopic));
    };
    match found.error() {
        Some(error) => Ok(Err(Code::from(error))),
        None if found.partitions().is_empty() => Ok(Err(Code::UnknownTopic)),
        None => Ok(Ok(())),
    }
}
