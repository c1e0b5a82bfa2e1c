//! The rules of RFC 9110, 9112 and 9113 that bind a proxy: one file a rule, each a table of what a
//! client sends, what it must get, and what the upstream must see.
//!
//! A table is run against the real program, over sockets. Names in capitals are those of public
//! probes: `Http11Probe` (`COMP-…`, `SMUG-…`, `MAL-…` and those that begin with the RFC), h1spec
//! (`H1SPEC-…`) and HTTP Garden (`GARDEN-…`). A case that a server may accept or refuse, and the
//! gateway refuses, stands here as refused: a proxy must not leave the choice to the server behind
//! it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod answers;
mod forwarding;
mod http2;
mod judge;
mod judged;
mod message;
mod recorder;
mod requests;
mod suite;
#[path = "../proxy/support/mod.rs"]
#[expect(dead_code, reason = "these are the helpers of the proxy's tests, and not all of them are needed here")]
mod support;
mod targets;
