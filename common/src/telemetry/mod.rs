//! What programs tell of themselves: log lines, in one form for all of them.

mod line;

pub use line::Line;
