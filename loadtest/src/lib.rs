//! Everything that puts Tollgate to work from outside: the demo, a load generator, peers to compare with, and drills.

pub mod cli;
pub mod compare;
pub mod demo;
pub mod drill;
pub mod fleet;
pub mod house;
pub mod load;
pub mod passthrough;
mod process_stat;
pub mod upstream;
