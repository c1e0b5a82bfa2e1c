//! The settings file of a broker that is its own controller.

use std::fmt::Write as _;

use super::KafkaOptions;

/// The smallest segment that Kafka accepts, in bytes.
const SMALLEST_SEGMENT: u64 = 1 << 20;

/// What every broker here has. One node, so nothing is replicated; few internal partitions, as each costs time and
/// files; groups may find out soon that a member has gone. Nothing is deleted for its age unless asked. A session is
/// short, because a broker that crashed is not let in again before its last one has run out.
const COMMON: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=3000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=4194304
log.retention.ms=-1
";

/// The text of `server.properties`.
pub(super) fn server_properties(options: &KafkaOptions, port: u16, controller_port: u16) -> String {
    let mut text = format!(
        "{COMMON}\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         num.partitions={}\n\
         auto.create.topics.enable={}\n",
        options.partitions, options.auto_create
    );
    if let Some(bytes) = options.retained_bytes {
        let segment = (bytes / 4).max(SMALLEST_SEGMENT);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "log.retention.bytes={bytes}\n\
             log.segment.bytes={segment}\n\
             log.retention.check.interval.ms=500\n\
             log.initial.task.delay.ms=500\n\
             log.segment.delete.delay.ms=500\n"
        );
    }
    text
}
