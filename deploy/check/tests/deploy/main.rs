//! The files that bring Tollgate into operation are checked with the tools of those who use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;
mod compose;
mod files;
mod image;
mod live;
mod metrics;
mod package;
mod rules;
mod runbook;
mod units;
