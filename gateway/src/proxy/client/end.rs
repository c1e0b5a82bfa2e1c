//! Reasons for which the gateway ends an upgraded connection, and what a WebSocket is told of them.

const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const SERVICE_RESTART: u16 = 1012;
const TRY_AGAIN_LATER: u16 = 1013;

/// The reason for which the gateway ends an upgraded connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::proxy) enum End {
    /// The key was revoked, has expired or was deleted.
    Key = 1,
    /// The tenant, or one above it, is suspended, has an unpaid invoice, is deleted or without a plan.
    Tenant = 2,
    /// The key may not be used for this route or from this address any more.
    Restricted = 3,
    /// The route is gone, or does not allow the protocol any more.
    Route = 4,
    /// Nothing has passed for too long.
    Idle = 5,
    /// The gateway is about to end.
    Restart = 6,
    /// The month's hard quota is spent.
    Quota = 7,
    /// The credit that was paid for in advance is spent.
    Credit = 8,
    /// Usage cannot be recorded, or the quota not be checked.
    Usage = 9,
    /// A budget in money is spent.
    Budget = 10,
}

impl End {
    pub(in crate::proxy) const ALL: [Self; 10] = [
        Self::Key,
        Self::Tenant,
        Self::Restricted,
        Self::Route,
        Self::Idle,
        Self::Restart,
        Self::Quota,
        Self::Credit,
        Self::Usage,
        Self::Budget,
    ];

    pub(in crate::proxy) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u8 == number)
    }

    pub(in crate::proxy) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Restricted => "restricted",
            Self::Route => "route",
            Self::Idle => "idle",
            Self::Restart => "restart",
            Self::Quota => "quota",
            Self::Credit => "credit",
            Self::Usage => "usage",
            Self::Budget => "budget",
        }
    }

    /// The code and the reason with which a WebSocket is closed (RFC 6455, section 7.4).
    pub(super) const fn close(self) -> (u16, &'static str) {
        match self {
            Self::Key => (POLICY, "the API key was revoked or has expired"),
            Self::Tenant => (POLICY, "the account is suspended, has an unpaid invoice or no plan"),
            Self::Restricted => (POLICY, "the API key may not be used here any more"),
            Self::Route => (POLICY, "the route is gone"),
            Self::Idle => (GOING_AWAY, "nothing was said for too long"),
            Self::Restart => (SERVICE_RESTART, "the gateway restarts: connect again"),
            Self::Quota => (POLICY, "the quota of the month is spent"),
            Self::Credit => (POLICY, "the prepaid credit is spent"),
            Self::Budget => (POLICY, "a budget is spent"),
            Self::Usage => (TRY_AGAIN_LATER, "usage cannot be counted now: connect again later"),
        }
    }
}
