//! Patterns of paths, and texts that are filled in from a path that matched. Routes and filters use
//! both.

mod path;
mod query;
mod template;

pub use path::{PathPattern, PatternError, Segment, Shape};
pub(crate) use query::decoded;
pub use template::{Filling, Template, TemplateError};
