//! A question that the decision API is asked, and its verdict.

use std::net::IpAddr;

use http::Method;
use serde::Deserialize;

use super::reservations::ReservationId;
use crate::{admission::Refusal, auth::AuthError, catalog::Caller, limit::LimitStates};

/// The mode of a question: what happens to a request that may pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// It counts, and is billed.
    #[default]
    Consume,
    /// Nothing is consumed: only the answer is wanted.
    Peek,
    /// It counts, and its units are held until it is known how many it used.
    Reserve,
}

/// A question: may this request pass?
pub(crate) struct Question<'a> {
    pub(crate) credential: Result<&'a [u8], AuthError>,
    /// The host, path and method; without them, only the limits of key and tenant decide.
    pub(crate) target: Option<Target<'a>>,
    /// The client's address, if the other proxy names it.
    pub(crate) client: Option<IpAddr>,
    /// Units that the request costs, if not those of the route.
    pub(crate) units: Option<u64>,
    pub(crate) mode: Mode,
}

/// The host, path and method of a request.
pub(crate) struct Target<'a> {
    pub(crate) host: Option<&'a str>,
    /// With or without query.
    pub(crate) path: &'a str,
    pub(crate) method: Method,
}

/// The answer.
#[expect(clippy::large_enum_variant, reason = "what may pass is told without an allocation")]
pub(crate) enum Verdict {
    Allow(Allowed),
    Deny(Box<Refusal>),
}

/// A request that may pass.
pub(crate) struct Allowed {
    /// None on a public route.
    pub(crate) caller: Option<Caller>,
    /// State of each limit after the request (before it, for a peek).
    pub(crate) limits: LimitStates,
    pub(crate) reservation: Option<ReservationId>,
}

/// The usage that was recorded for a reservation.
pub(crate) struct Settled {
    pub(crate) units: u64,
    pub(crate) status: u16,
    /// True if the route bills answers of this status. Test keys are never billed.
    pub(crate) billable: bool,
}

impl Mode {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::Peek => "peek",
            Self::Reserve => "reserve",
        }
    }
}
