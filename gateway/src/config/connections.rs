//! The section `connections`: how many connections there may be, and how long clients may keep the
//! gateway waiting.

use std::time::Duration;

use common::{
    config::ConfigError,
    listen::{ConnectionLimits, Rate, http::Deadlines},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, TIMEOUT_MAX_MS};

/// Most connections that may be allowed.
const CONNECTIONS_MAX: usize = 10_000_000;

/// Connections that are allowed unless the file says another number, where descriptors suffice.
const CONNECTIONS_DEFAULT: usize = 50_000;

/// Fastest pace that may be asked for, in bytes per second.
const RATE_MAX: u64 = 1_000_000_000;

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConnectionsFile {
    /// Most connections of clients; by default as many as file descriptors suffice for.
    max: Option<usize>,
    /// Most connections of one address; half of `max` unless set.
    max_per_address: Option<usize>,
    /// Longest time for the whole header of a request.
    header_timeout_ms: u64,
    /// Longest time without a byte of the body, or below `min_bytes_per_second`.
    body_timeout_ms: u64,
    /// The same for a client that does not read its answer.
    send_timeout_ms: u64,
    /// Longest time between two requests.
    idle_timeout_ms: u64,
    /// Least rate of bodies and answers.
    min_bytes_per_second: u64,
}

/// Most connections of clients, and how long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Connections of clients, as far as descriptors suffice.
    pub most: usize,
    /// Most connections of one address; half of all unless the file says a number.
    pub most_per_address: Option<usize>,
    /// Longest times that clients may take.
    pub deadlines: Deadlines,
}

impl Default for ConnectionsFile {
    fn default() -> Self {
        Self {
            max: None,
            max_per_address: None,
            header_timeout_ms: 15_000,
            body_timeout_ms: 30_000,
            send_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            min_bytes_per_second: 500,
        }
    }
}

impl ConnectionSettings {
    /// The limits where descriptors suffice for so many connections.
    pub fn limits(&self, room: usize) -> ConnectionLimits {
        let most = self.most.min(room).max(1);
        ConnectionLimits { most, most_per_address: self.most_per_address.unwrap_or((most / 2).max(1)) }
    }
}

impl Check<'_> {
    pub(super) fn connections(&self, file: &ConnectionsFile) -> Result<ConnectionSettings, ConfigError> {
        let milliseconds = |field, value| self.within(field, value, 1, TIMEOUT_MAX_MS).map(Duration::from_millis);
        let count =
            |field, value: Option<usize>| value.map(|value| self.within(field, value, 1, CONNECTIONS_MAX)).transpose();
        let bytes_per_second = self.within("min_bytes_per_second", file.min_bytes_per_second, 1, RATE_MAX)?;
        let rate = |patience| Rate { patience, bytes_per_second };
        Ok(ConnectionSettings {
            most: count("max", file.max)?.unwrap_or(CONNECTIONS_DEFAULT),
            most_per_address: count("max_per_address", file.max_per_address)?,
            deadlines: Deadlines {
                header: milliseconds("header_timeout_ms", file.header_timeout_ms)?,
                idle: milliseconds("idle_timeout_ms", file.idle_timeout_ms)?,
                body: rate(milliseconds("body_timeout_ms", file.body_timeout_ms)?),
                send: rate(milliseconds("send_timeout_ms", file.send_timeout_ms)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn parse(section: &str) -> Result<ConnectionSettings, String> {
        fixture::parse(section).map(|settings| settings.connections)
    }

    #[test]
    fn settings_that_are_not_written_have_their_defaults() {
        let defaults = parse("").unwrap();
        assert_eq!(defaults, parse("connections: {}\n").unwrap());
        assert_eq!((defaults.most, defaults.most_per_address), (50_000, None));
        assert_eq!(defaults.deadlines, Deadlines::default());
        let some = parse("connections:\n  max: 10\n  idle_timeout_ms: 5\n").unwrap();
        assert_eq!((some.most, some.deadlines.idle), (10, Duration::from_millis(5)));
    }

    #[test]
    fn limits_stay_within_the_room_that_there_is() {
        let limits = |section: &str, room| {
            let limits = parse(section).unwrap().limits(room);
            (limits.most, limits.most_per_address)
        };
        assert_eq!(limits("", 448), (448, 224));
        assert_eq!(limits("", 1_000_000), (50_000, 25_000));
        assert_eq!(limits("connections: { max: 100, max_per_address: 3 }\n", 448), (100, 3));
        assert_eq!(limits("", 0), (1, 1));
    }

    #[test]
    fn faults_name_file_line_and_reason() {
        for field in ["max", "max_per_address", "header_timeout_ms", "idle_timeout_ms", "min_bytes_per_second"] {
            let told = parse(&format!("connections:\n  {field}: 0\n")).unwrap_err();
            assert!(told.starts_with("gateway.yaml:2:") && told.contains("must be between 1 and"), "{told}");
        }
        assert!(parse("connections:\n  header_timeout: 1\n").unwrap_err().contains("is not a setting here"));
    }
}
