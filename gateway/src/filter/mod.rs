//! Filters that a route adds to the way of a request, one file each.
//!
//! | filter | what it does |
//! |---|---|
//! | [`by_address`] | limits the callers of a public route by their address |
//! | [`cors`] | lets pages of other origins call a route |

pub(crate) mod by_address;
pub(crate) mod cors;
