//! Real servers on private ports and in private directories, for tests and drills.
//!
//! Each kind of server has a file of its own that says what it runs; [`Server`] is what all of them have in common: a
//! server can be killed, paused, resumed, stopped and restarted, and neither it nor its directory outlives the program
//! that started it, however that program ends.

mod certificates;
mod directory;
mod error;
mod kafka;
mod oidc;
mod port;
mod postgres;
mod privilege;
mod process;
mod program;
mod redis;
mod schema;
mod schemathesis;
mod server;
mod terminal;

pub use error::ServerError;
pub use kafka::{Kafka, KafkaOptions};
pub use oidc::OpenId;
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use privilege::Unprivileged;
pub use redis::{Redis, RedisOptions};
pub use schema::StoreFile;
pub use schemathesis::schemathesis;
pub use server::{Program, Server};
pub use terminal::{Act, Seen, Step, in_terminal};
