//! The business plane: what the gateways metered becomes lines on a bill.
//!
//! Read it in that order: [`ingest`] books usage exactly once, [`audit`] proves it, [`rating`] prices the usage of a
//! period by a plan, [`invoice`] puts the lines of a tenant and period together. [`api`] is the HTTP face, [`access`]
//! who may use it, [`command`] the command line, [`config`] what operators set, [`upkeep`] what is done now and then,
//! [`watch`] what operators see of store and books, [`publish`] what other systems hear of changes.

pub mod access;
pub mod api;
pub mod audit;
pub mod command;
pub mod config;
pub mod ingest;
pub mod invoice;
mod number;
pub mod problem;
pub mod publish;
pub mod rating;
pub mod upkeep;
pub mod watch;
