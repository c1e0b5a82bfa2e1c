//! Rating of `billing` as a crate of its own: it builds in seconds.

mod number;
pub mod rating;
