//! The real binary between a real client and a real upstream, with a stand-in for billing.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod aborts;
mod acme;
mod answers;
mod browsers;
mod bytes;
mod changes;
mod client_certificates;
mod connections;
mod credentials;
mod dns;
mod examples;
mod examples_streams;
mod failing_servers;
mod forwarding;
mod grpc;
mod grpc_health;
mod http2;
mod http2_aborts;
mod http2_abuse;
mod http2_upstream;
mod kafka;
mod lifecycle;
mod limits;
mod malformed;
mod memory;
mod names;
mod proxy_protocol;
mod reload;
mod restrictions;
mod retries;
mod routes;
mod schema;
mod shared;
mod shortage;
mod stability;
mod support;
mod timeouts;
mod tls;
mod tls_changes;
mod upgrade;
mod upstream_tls;
mod upstreams;
mod usage;
mod websocket;
