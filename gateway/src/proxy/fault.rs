//! Faults on purpose, so that tests see what a panic in a hook leads to. In a shipped gateway there
//! is nothing in here.

use pingora_http::RequestHeader;

/// Names the hook that is to panic.
#[cfg(test)]
pub(super) const HEADER: &str = "x-test-panic";

/// Panics if a test asks for it.
#[cfg(test)]
pub(super) fn point(hook: &str, request: &RequestHeader) {
    assert!(request.headers.get(HEADER).is_none_or(|wanted| wanted != hook), "{hook} panics on purpose");
}

#[cfg(not(test))]
pub(super) const fn point(_hook: &str, _request: &RequestHeader) {}
