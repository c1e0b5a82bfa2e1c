//! The business plane: usage that the gateways metered becomes lines on an invoice.
//!
//! In the order of a cent: [`ingest`] books usage exactly once, [`reconcile`] proves it, [`rating`]
//! prices the usage of a period by a plan, [`invoice`] puts the lines of a payer and period
//! together, [`document`] and [`e_invoice`] write it down for people and for programs. [`api`] serves the business API, with [`access`] in front of it and [`problem`] for
//! its errors. [`command`] is the command line, [`config`] the settings, [`upkeep`] the periodic
//! work, [`job`] what is due at times of a calendar, [`watch`] the gauges of store and books, [`budget`] counts what usage may cost, [`outbox`] sends what leaves the
//! system, [`publish`] the feed of changes for other
//! systems.

pub mod access;
pub mod api;
pub mod budget;
pub mod command;
pub mod config;
pub mod document;
pub mod e_invoice;
pub mod ingest;
pub mod invoice;
pub mod job;
mod number;
pub mod outbox;
pub mod payment;
pub mod problem;
pub mod publish;
pub mod rating;
pub mod reconcile;
pub mod upkeep;
pub mod watch;
pub mod web;
