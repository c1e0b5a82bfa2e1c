//! The setting `protocol` of an upstream: the version of HTTP that its servers are spoken with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of HTTP that servers are spoken with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed on in the handshake with servers that speak TLS, with prior knowledge
    /// otherwise.
    Http2,
}
