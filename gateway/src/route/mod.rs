//! Which route a request takes: host, then path, then method.
//!
//! An exact host goes before a domain's wildcard, a longer wildcard before a shorter one, and both before routes for
//! any host; among the routes of the first that knows the path, the longest prefix wins. The method is asked last: a
//! path whose most specific route does not serve it is a 405, never a way to a more general route.
//!
//! Invariant: no spelling of a path leads past the route that the upstream may take it for. See [`Spelling`] for what
//! is refused, and `loose` for how a path is recognised.

mod loose;
mod path;
mod spelling;
mod table;

pub use path::{DecodedPath, PathError, decode_path, strip_segments};
pub use spelling::{Spelling, Spellings};
pub use table::{RouteError, Table};

#[cfg(test)]
mod tests;
