//! A simulation of the token bank: the gateways' real accounts and schedulers and the real script,
//! in a simulated Redis, over a simulated network, in simulated time.
//!
//! | module | content |
//! |---|---|
//! | [`schedule`], [`shape`] | input of a simulation: gateways, limits, load, network, faults |
//! | [`simulation`] | runs a schedule, event by event; the same schedule always runs the same way |
//! | [`gateway`] | one gateway: its real parts, and its connection |
//! | [`redis`] | a server that runs the script in Lua 5.1, with its clock, its keys and its faults |
//! | [`rival`] | other ways to share a limit, on the same schedule |
//! | [`matrix`], [`table`], [`picture`] | the comparison |
//! | [`money`] | whole histories of money, beside a plain model; nothing of the above |
//!
//! Every promise is watched all the time, as a bucket whose level must never go below zero.

mod bound;
pub mod gateway;
mod keyspace;
pub mod matrix;
pub mod money;
mod pack;
mod permits;
pub mod picture;
pub mod redis;
pub mod rival;
pub mod schedule;
pub mod shape;
pub mod simulation;
pub mod table;
mod watch;

pub use bound::Bound;
pub use permits::PermitOutcome;
pub use watch::Outcome;
