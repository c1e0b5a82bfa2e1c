//! The settings file of a broker that is its own controller.

use super::SecuredListener;

/// Settings of every broker. One node, so nothing is replicated; few internal partitions, as each
/// costs time and files; groups may find out soon that a member has gone. Nothing is deleted for
/// its age, and a topic exists only after it was made. A session is short, because a broker that
/// crashed is not let in again before its last one has run out.
const COMMON: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL
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
auto.create.topics.enable=false
";

/// The text of `server.properties`.
pub(super) fn server_properties(port: u16, controller_port: u16, secured: Option<&SecuredListener>) -> String {
    let ours = format!("PLAINTEXT://127.0.0.1:{port}");
    let clients = match secured {
        Some(secured) => format!("{ours},SECURED://127.0.0.1:{}", secured.port()),
        None => ours,
    };
    let particulars = secured.map(SecuredListener::server_properties).unwrap_or_default();
    format!(
        "{COMMON}\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners={clients},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners={clients}\n\
         {particulars}"
    )
}
