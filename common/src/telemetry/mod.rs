//! Logs and metrics, in one form for all programs.

mod exposition;
mod line;
mod panics;
mod process;

pub use exposition::{Exposition, expose};
pub use line::Line;
pub use panics::log_panics;
pub use process::{process_registry, show_process};
