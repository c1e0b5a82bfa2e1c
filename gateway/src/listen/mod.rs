//! The connections of clients, up to the header of a request: how many there may be, how long they
//! may take, and what a request must look like before any other room sees it.
//!
//! A [`listener`] has the settings of an address. A connection that it accepts is a [`socket`], which
//! may begin with a header of the [`proxy_protocol`] and a [`handshake`] of TLS.
//!
//! A [`connection`] reads the [`head`] of a request and follows its [`body`]; an [`exchange`] is
//! what Pingora gets to see of it: one request at a time, already found to be well-formed.
//! [`refusal`] answers those that are not, and closes connections so that clients read why.
//! [`http2`] serves clients that speak HTTP/2.
//!
//! Invariant: requests of one connection of HTTP/1.1 are answered in the order in which they came,
//! each before the next is looked at.

pub mod body;
mod connection;
mod exchange;
mod handshake;
pub mod head;
pub(crate) mod http2;
mod listener;
pub(crate) mod proxy_protocol;
mod refusal;
mod rewrite;
pub(crate) mod sizes;
mod socket;

pub(crate) use connection::{Connection, Next};
pub(crate) use exchange::{Exchange, Returned};
pub(crate) use handshake::{Secured, ShownCertificate};
pub(crate) use listener::{Edge, Listener, Listeners, Opened};
pub(crate) use refusal::{Refused, is_fault, problem_behind, turn_away};
pub(crate) use socket::Socket;

pub use common::listen::http::Deadlines as Settings;
