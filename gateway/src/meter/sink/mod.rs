//! The sinks of usage: `billing` over HTTP, or Kafka.

mod error;
mod http;
mod kafka;
mod usage_sink;

pub use error::{PropertyError, SinkError};
pub use http::HttpSink;
pub use kafka::{KafkaSettings, KafkaSink, NewTopic};
pub use usage_sink::UsageSink;
