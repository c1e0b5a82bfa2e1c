//! The token bank in a world of its own: the gateways' real accounts and schedulers and the real script, in a simulated
//! Redis, over a simulated network, on simulated time.
//!
//! | module | what it is |
//! |---|---|
//! | [`schedule`], [`shape`] | what a world is like: gateways, limits, load, network, failures |
//! | [`simulation`] | runs a schedule, event by event; the same schedule always runs the same way |
//! | [`gateway`] | one gateway: what is real in it, and its connection |
//! | [`redis`] | a server that runs the script in Lua 5.1, with its clock, its keys and its accidents |
//! | [`rival`] | what others do, on the same schedule |
//! | [`matrix`], [`table`], [`picture`] | the comparison |
//!
//! What is promised is watched all the time, as a bucket that must never go below nothing.

mod bound;
pub mod gateway;
mod keyspace;
pub mod matrix;
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
