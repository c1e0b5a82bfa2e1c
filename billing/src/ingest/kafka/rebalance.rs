//! Callbacks of the Kafka client: partitions assigned and revoked, log lines, errors.
//!
//! A partition is assigned paused, so that nothing of it is read before its worker has sought the
//! position that the store holds: an assignment does not wait for the store. (Assigned at a place
//! that has to be asked for, as the end, it would go there after all once the answer comes,
//! whatever was sought meanwhile.)

use std::sync::Arc;

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    topic_partition_list::TopicPartitionListElem,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};
use tokio::sync::mpsc;

use super::Condition;

/// The facility of the client's log line about a session that timed out; the client reports it
/// nowhere else.
const SESSION_TIMED_OUT: &str = "SESSTMOUT";

/// Partitions that come or go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
}

/// The receiver of the client's callbacks.
pub(super) struct Context {
    changes: mpsc::UnboundedSender<Change>,
    condition: Arc<Condition>,
}

impl Context {
    pub(super) const fn new(changes: mpsc::UnboundedSender<Change>, condition: Arc<Condition>) -> Self {
        Self { changes, condition }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let is_assignment = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = if is_assignment { assign(consumer, list) } else { unassign(consumer, list) };
        match done {
            Ok(()) => tracing::info!(event = "partitions_changed", ?partitions, is_assignment),
            Err(error) => tracing::error!(event = "partitions_not_changed", ?partitions, is_assignment, %error),
        }
        let change = if is_assignment { Change::Assigned(partitions) } else { Change::Revoked(partitions) };
        // Nobody listens any more once this process is ending.
        let _ = self.changes.send(change);
    }
}

fn assign(consumer: &BaseConsumer<Context>, list: &mut TopicPartitionList) -> KafkaResult<()> {
    list.set_all_offsets(Offset::Offset(0))?;
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list)?,
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list)?,
    }
    consumer.pause(list)
}

fn unassign(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if facility == SESSION_TIMED_OUT {
            self.condition.contact_is_lost();
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(event = "kafka_client", facility, text),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(event = "kafka_client", facility, text),
            RDKafkaLogLevel::Debug => tracing::debug!(event = "kafka_client", facility, text),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(event = "kafka_error", %error, reason);
        let code = error.rdkafka_error_code();
        if matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure)) {
            self.condition.contact_is_lost();
        }
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            // Its text only counts the brokers, and would hide why each of them is out of reach.
            self.condition.doubt_kafka();
        } else {
            self.condition.note_kafka_error(reason);
        }
    }
}
