//! The documents of the business API `/v1`: the bodies of requests and answers, one file a noun.
//!
//! `billing` writes the answers, reads the requests and derives the `OpenAPI` document from these
//! types; `keyctl --api` reads and writes the same types. An instant, a network, an id and a price
//! have one wire form each, stated once.
//!
//! Invariant: a request with an unknown member is refused; an answer may get further members, and
//! readers ignore those that they do not know.

pub mod actor;
pub mod admin_key;
pub mod audit_log;
pub mod bank;
pub mod batch;
pub mod books;
pub mod budget;
pub mod coupon;
pub mod credit;
pub mod instant;
pub mod invoice;
pub mod key;
pub mod ledger;
pub mod limits;
pub mod mail;
pub mod me;
pub mod member;
pub mod money;
pub mod network;
pub mod outbox;
pub mod page;
pub mod plan;
pub mod problem;
pub mod quota;
pub mod seller;
pub mod session;
pub mod subscription;
pub mod tenant;
pub mod threshold;
pub mod usage;
pub mod usage_event;
pub mod wallet;
pub mod webhook;
