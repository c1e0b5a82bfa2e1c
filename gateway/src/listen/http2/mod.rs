//! Connections of clients that speak HTTP/2, up to the header of a request: over TLS where client
//! and listener agreed on it, and with prior knowledge where the configuration allows it.
//!
//! A [`connection`] gives its requests as they come, each of which is then served by itself;
//! [`head`] holds their headers to the rules of HTTP/1.1; [`guard`] watches the bytes, with
//! [`frames`] and [`budget`], for clients that cost more than they ask for.

mod budget;
mod connection;
mod frames;
mod guard;
pub(crate) mod head;
pub(crate) mod metrics;
mod refusal;

pub(crate) use connection::Http2Connection;
pub(crate) use frames::PREFACE;
pub(crate) use refusal::{answer, response};
