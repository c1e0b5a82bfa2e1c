//! Filters that a route or a listener adds to the way of a request, one file each, in the order in
//! which a request meets them.
//!
//! | filter | what it does |
//! |---|---|
//! | [`https`] | sends clients of a listener on to HTTPS |
//! | [`cors`] | lets pages of other origins call a route; answers preflights before anything else |
//! | [`addresses`] | refuses addresses before the key is asked for |
//! | [`by_address`] | limits the callers of a public route by their address |
//! | [`reply`] | answers by itself, once the caller is admitted |
//! | [`split`] | chooses between the upstreams of a route |
//! | [`rewrite`] | rewrites path, query and host for the upstream |
//! | [`header_edits`] | edits headers, once the gateway has written its own |

pub(crate) mod addresses;
pub(crate) mod by_address;
pub(crate) mod cors;
pub(crate) mod header_edits;
pub(crate) mod https;
pub(crate) mod reply;
pub(crate) mod rewrite;
pub(crate) mod split;
