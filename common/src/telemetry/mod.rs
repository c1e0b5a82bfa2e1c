//! What programs tell of themselves: log lines and metrics, in one form for all of them.

mod line;
mod panics;
mod process;

pub use line::Line;
pub use panics::log_panics;
pub use process::{process_registry, show_process};
