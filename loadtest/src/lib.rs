//! Everything that puts Tollgate to work from outside: the demo, a load generator, peers to compare
//! with, and drills.

pub mod cli;
pub mod compare;
pub mod demo;
pub mod deployment;
pub mod drill;
pub mod load;
mod lock;
pub mod passthrough;
mod process_stat;
pub mod processes;
pub mod upstream;
