//! Reads what the source code says about the metrics of all programs.

pub mod metric;
pub mod source;
