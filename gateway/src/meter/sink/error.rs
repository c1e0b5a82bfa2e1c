//! Reasons why the sink does not take a batch.

/// Reason why a batch was not taken. The batch is offered again.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The address is not valid.
    #[error("`{url}` is not the address of a usage sink: use http://host:port or https://host:port")]
    Url {
        /// The configured address.
        url: String,
    },
    /// The client cannot be made.
    #[error("cannot set up the usage sink: {0}")]
    Setup(String),
    /// A setting of the Kafka client is wrong.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// Not reached, or no answer in time.
    #[error("usage sink is away: {0}")]
    Away(String),
    /// The topic is missing, or cannot be written.
    #[error("topic `{topic}` (setting `usage.kafka.topic`) cannot be written: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// The cause, and advice.
        reason: String,
    },
    /// The sink answered that it cannot take the batch now.
    #[error("usage sink answered {status}: {reason}")]
    Busy {
        /// HTTP status.
        status: u16,
        /// Text of the answer.
        reason: String,
    },
    /// The sink answered that it never takes the batch: one of the two programs is wrong, or too
    /// old for the other.
    #[error("usage sink refused a batch with {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Text of the answer.
        reason: String,
    },
}

/// A setting of librdkafka that does not exist, or that operators may not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Kafka property `{name}`: {reason}")]
pub struct PropertyError {
    /// The property.
    pub name: String,
    /// The error.
    pub reason: String,
}
