//! Decisions for operators who run a proxy of their own: the API tells whether a request may pass,
//! and the other proxy forwards it.
//!
//! | module | what it does |
//! |---|---|
//! | [`question`], [`decide`] | a question, its verdict, and the decision: the same admission as the proxy's |
//! | [`reservations`], [`places`] | what is held until it is settled, and how much of it by whom |
//! | [`http`], [`document`] | `POST /check` and `POST /settle`, in JSON |
//! | [`envoy`] | Envoy's `RateLimitService`, by gRPC |
//! | [`server`] | listeners, threads and connections |
//!
//! Invariants: what is consumed here is billed as if it had been forwarded, and nothing else is; a
//! peek consumes nothing; a reservation ends exactly once: it is settled, expires, or ends with the
//! process.

mod decide;
mod document;
pub mod envoy;
mod http;
mod places;
mod question;
mod reservations;
mod server;

pub use decide::Decision;
pub(crate) use server::{Guards, Server, Signals};
