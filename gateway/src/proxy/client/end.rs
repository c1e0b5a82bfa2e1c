//! Reasons for which the gateway ends an upgraded connection.

/// The reason for which the gateway ends an upgraded connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::proxy) enum End {
    /// The key was revoked, has expired or was deleted.
    Key = 1,
    /// The tenant, or one above it, is suspended, deleted or without a plan.
    Tenant = 2,
    /// The key may not be used for this route or from this address any more.
    Restricted = 3,
    /// The route is gone, or does not allow the protocol any more.
    Route = 4,
    /// Nothing has passed for too long.
    Idle = 5,
}

impl End {
    pub(in crate::proxy) const ALL: [Self; 5] = [Self::Key, Self::Tenant, Self::Restricted, Self::Route, Self::Idle];

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
        }
    }
}
