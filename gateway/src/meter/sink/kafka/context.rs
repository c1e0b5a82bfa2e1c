//! Receives the errors that librdkafka reports at every attempt to connect. The drain logs an
//! outage once, with the last error from here.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, error::KafkaError, statistics::Statistics, types::RDKafkaErrorCode,
};

use crate::lock::locked;

/// Context of one client. Clones share the errors.
#[derive(Clone, Default)]
pub(super) struct Context {
    last_error: Arc<Mutex<Option<String>>>,
    /// All brokers were reported as down, and no delivery has succeeded since.
    no_broker: Arc<AtomicBool>,
}

impl Context {
    /// Describes an error with the last one that librdkafka reported: "timed out" alone does not
    /// say why.
    pub(super) fn explain(&self, error: &KafkaError) -> String {
        let code = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
        match &*locked(&self.last_error) {
            Some(last) => format!("{code}; {last}"),
            None => code,
        }
    }

    /// Forgets the reported errors after a delivery.
    pub(super) fn forget(&self) {
        self.no_broker.store(false, Ordering::Relaxed);
        locked(&self.last_error).take();
    }

    /// Reason why no broker can be reached, if all were reported as down since the last delivery.
    pub(super) fn away(&self) -> Option<String> {
        let last = || locked(&self.last_error).clone();
        self.no_broker.load(Ordering::Relaxed).then(|| last().unwrap_or_else(|| "no broker is connected".to_owned()))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, message);
            }
            _ => tracing::debug!(target: "librdkafka", facility, message),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Follows the error of the last broker, and says less.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.no_broker.store(true, Ordering::Relaxed);
            return;
        }
        *locked(&self.last_error) = Some(reason.to_owned());
    }

    fn stats(&self, _statistics: Statistics) {}
}
