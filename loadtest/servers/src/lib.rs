//! Real servers on private ports and in private directories, and the supervisor of every child
//! process of a test.
//!
//! Each kind of server has a file of its own with the program that it runs. [`Server`] is the part
//! that all of them share: a server can be killed, paused, resumed, stopped and restarted.
//! [`Process`] is the supervisor under it, and under the programs of this repository;
//! [`eventually`] waits for a state, with a deadline.
//!
//! Invariant: neither a server nor its directory outlives the program that started it, however that
//! program ends.

mod autobahn;
mod certificates;
mod directory;
mod dns;
mod documents;
mod envoy;
mod error;
mod export_judge;
mod family;
mod go;
mod grpc;
mod h2spec;
pub mod invoice_judge;
mod kafka;
mod log;
mod oidc;
mod pebble;
mod port;
mod postgres;
mod privilege;
mod process;
mod program;
mod python;
mod redis;
mod schema;
mod schemathesis;
mod server;
mod smtp;
mod standard_webhooks;
mod stripe;
mod terminal;
mod wait;

pub use autobahn::wstest;
pub use certificates::{Authority, Identity};
pub use dns::{Dns, ServiceRecord};
pub use documents::documents_program;
pub use envoy::envoy;
pub use error::ServerError;
pub use export_judge::{bean_check, focus_validator};
pub use grpc::{GrpcCall, GrpcLoad, GrpcServer, grpc_call};
pub use h2spec::h2spec;
pub use kafka::{Kafka, KafkaOptions};
pub use log::Log;
pub use oidc::OpenId;
pub use pebble::{Pebble, PebbleOptions};
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use privilege::Unprivileged;
pub use process::Process;
pub use redis::{Redis, RedisOptions};
pub use schema::StoreFile;
pub use schemathesis::schemathesis;
pub use server::{Program, Server};
pub use smtp::{Smtp, SmtpAccess, SmtpProgram};
pub use standard_webhooks::verify_webhook;
pub use stripe::{LocalStripe, StripeMock};
pub use terminal::{Act, Seen, Step, in_terminal};
pub use wait::{Attempt, DEADLINE, POLL_INTERVAL, eventually, within};
