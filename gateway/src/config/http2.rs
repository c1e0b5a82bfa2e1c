//! The section `http2`: HTTP/2 with clients.

use common::config::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;

/// Smallest and largest window that may be asked for, in bytes: the protocol's first window, and
/// what one client may make the gateway hold.
const WINDOW_MIN_BYTES: u32 = 65_535;
const WINDOW_MAX_BYTES: u32 = 16 << 20;

/// Most requests that a connection may have in progress.
const STREAMS_MAX: u32 = 10_000;

/// Most requests that a client may be let to take back in a second.
const RESETS_MAX: u32 = 1_000_000;

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http2File {
    /// True if HTTP/2 is spoken without TLS to clients that begin with its preface (h2c).
    without_tls: bool,
    /// Most requests at once on a connection.
    max_streams: u32,
    /// Bytes of a body that a client may send ahead, for each request.
    stream_window_bytes: u32,
    /// The same for all requests of a connection.
    connection_window_bytes: u32,
    /// Requests a second that a client may reset before its connection is closed.
    resets_per_second: u32,
}

/// HTTP/2 with clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Settings {
    /// True if clients may speak HTTP/2 with prior knowledge on connections without TLS.
    pub without_tls: bool,
    /// Most requests that one connection may have in progress.
    pub max_streams: u32,
    /// Bytes of one request's body that are taken before the upstream has taken them.
    pub stream_window_bytes: u32,
    /// The same for all requests of a connection.
    pub connection_window_bytes: u32,
    /// Requests that a client may take back in each second, beyond a burst.
    pub resets_per_second: u32,
}

impl Default for Http2File {
    fn default() -> Self {
        Self {
            without_tls: false,
            max_streams: 100,
            stream_window_bytes: 128 * 1024,
            connection_window_bytes: 512 * 1024,
            resets_per_second: 50,
        }
    }
}

impl Check<'_> {
    pub(super) fn http2(&self, file: &Http2File) -> Result<Http2Settings, ConfigError> {
        let window = |field, value| self.within(field, value, WINDOW_MIN_BYTES, WINDOW_MAX_BYTES);
        let settings = Http2Settings {
            without_tls: file.without_tls,
            max_streams: self.within("max_streams", file.max_streams, 1, STREAMS_MAX)?,
            stream_window_bytes: window("stream_window_bytes", file.stream_window_bytes)?,
            connection_window_bytes: window("connection_window_bytes", file.connection_window_bytes)?,
            resets_per_second: self.within("resets_per_second", file.resets_per_second, 1, RESETS_MAX)?,
        };
        if settings.connection_window_bytes < settings.stream_window_bytes {
            let reason =
                "`connection_window_bytes` is less than `stream_window_bytes`: one request could not use its own";
            return Err(self.about("connection_window_bytes", reason));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn parse(section: &str) -> Result<Http2Settings, String> {
        fixture::parse(section).map(|settings| settings.http2)
    }

    #[test]
    fn settings_that_are_not_written_have_their_defaults() {
        let defaults = parse("").unwrap();
        assert_eq!(defaults, parse("http2: {}\n").unwrap());
        assert!(!defaults.without_tls);
        let some = parse("http2: { without_tls: true, max_streams: 7 }\n").unwrap();
        assert_eq!((some.without_tls, some.max_streams), (true, 7));
        assert_eq!(some.stream_window_bytes, defaults.stream_window_bytes);
    }

    #[test]
    fn faults_name_file_line_and_reason() {
        for (setting, expected) in [
            ("max_streams: 0", "must be between 1 and"),
            ("stream_window_bytes: 1000", "must be between 65535 and"),
            ("connection_window_bytes: 65535", "is less than `stream_window_bytes`"),
            ("resets_per_second: 0", "must be between 1 and"),
            ("streams: 1", "is not a setting here"),
        ] {
            let told = parse(&format!("http2:\n  {setting}\n")).unwrap_err();
            assert!(told.starts_with("gateway.yaml:2:") && told.contains(expected), "{told}");
        }
    }
}
