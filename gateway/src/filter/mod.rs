//! Filters that a route or a listener adds to the way of a request, one file each.
//!
//! | filter | what it does |
//! |---|---|
//! | [`by_address`] | limits the callers of a public route by their address |
//! | [`cors`] | lets pages of other origins call a route |
//! | [`https`] | sends clients of a listener on to HTTPS |

pub(crate) mod by_address;
pub(crate) mod cors;
pub(crate) mod https;
