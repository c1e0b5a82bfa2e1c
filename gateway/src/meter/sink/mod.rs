//! Where usage goes: a trait, and what stands behind it. `billing` takes it over HTTP; at scale it goes through Kafka.

mod http;
mod kafka;

use common::usage::UsageBatch;
pub use http::HttpSink;
pub use kafka::{KafkaSettings, KafkaSink, NewTopic, PropertyError};

/// Where usage goes.
#[async_trait::async_trait]
pub trait UsageSink: Send + Sync + 'static {
    /// Hands over a batch; returns the number after the highest entry of its stream that is booked.
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError>;

    /// Why it cannot be reached now, if it knows so before a delivery has failed.
    fn away(&self) -> Option<String> {
        None
    }

    /// What somebody has to put right before it takes anything, if it knows.
    fn problem(&self) -> Option<String> {
        None
    }
}

/// Why a batch was not taken. It is offered again.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The address is not one.
    #[error("`{url}` is not the address of a usage sink: use http://host:port or https://host:port")]
    Url {
        /// What was configured.
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
    /// There is nowhere to put it.
    #[error("topic `{topic}` (setting `usage.kafka.topic`) cannot be written: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// It answered that it cannot now.
    #[error("usage sink answered {status}: {reason}")]
    Busy {
        /// HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// It answered that it never will: one of the two programs is wrong, or too old for the other.
    #[error("usage sink refused a batch with {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },
}
