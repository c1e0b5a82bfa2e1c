//! The decision API of the real binary, next to its proxy: what the one consumes, the other misses.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod api;
mod check;
mod envoy;
mod input;
mod reserve;
#[path = "../proxy/support/mod.rs"]
#[expect(dead_code, reason = "the tests of the proxy use more of it")]
mod support;
mod tls;
mod upgrade;
