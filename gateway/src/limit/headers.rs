//! Names of the headers that tell clients how their limits stand.

use http::HeaderName;

/// `RateLimit` of the IETF draft.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy` of the IETF draft.
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Headers that only the gateway sets; an upstream's own are removed.
pub(crate) const RATE_HEADERS: [HeaderName; 5] = [RATE_LIMIT, POLICY, LIMIT, REMAINING, RESET];
