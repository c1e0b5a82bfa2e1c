//! Limits of requests per tenant and of failed logins per address, with the rate cells of the
//! gateway.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use common::{
    id::TenantId,
    limit::{Clock, LimitState, NANOS_PER_SECOND, Rate, RateCell},
    mail::MailAddress,
    origin,
    plan::{RateLimit, RateWindow},
};

/// Sign-in links by mail from one client: a few, and one a minute from then on.
const LINKS_OF_CLIENT: RateLimit = RateLimit { limit: 60, burst: 10 };

/// Sign-in links to one address of mail.
const LINKS_TO_ADDRESS: RateLimit = RateLimit { limit: 12, burst: 3 };

/// Most callers with a cell of their own; further callers share one cell.
const CALLERS_MOST: usize = 50_000;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limits and their state.
pub(super) struct Throttle {
    clock: Clock,
    /// Requests of all callers of a tenant; none: those with the bootstrap token.
    tenants: Cells<Option<TenantId>>,
    /// Failed logins from an address that may have been guesses.
    guesses: Cells<IpAddr>,
    /// Links that a client has asked for.
    links_of_clients: Cells<Option<IpAddr>>,
    /// Links to an address of mail, by whomever.
    links_to_addresses: Cells<MailAddress>,
}

/// The limit is reached. Nothing was debited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    /// Whole seconds until the next request is admitted, at least 1.
    pub(super) retry_after_seconds: u64,
    /// State of the limit.
    pub(super) state: LimitState,
}

/// One cell for each recent caller.
struct Cells<K> {
    rate: Rate,
    of_callers: Mutex<HashMap<K, RateCell>>,
    /// The cell of callers beyond the most.
    shared: RateCell,
}

impl Throttle {
    /// A throttle with these limits per minute.
    pub(super) fn new(tenants: RateLimit, guesses: RateLimit, clock: Clock) -> Self {
        Self {
            clock,
            tenants: Cells::new("admin-tenant-minute", RateWindow::Minute, tenants),
            guesses: Cells::new("admin-credentials-minute", RateWindow::Minute, guesses),
            links_of_clients: Cells::new("links-hour", RateWindow::Hour, LINKS_OF_CLIENT),
            links_to_addresses: Cells::new("links-to-address-hour", RateWindow::Hour, LINKS_TO_ADDRESS),
        }
    }

    /// Debits a request of a caller of this tenant.
    pub(super) fn admit(&self, tenant: Option<TenantId>) -> Result<LimitState, TooMany> {
        self.tenants.with(tenant, self.clock.nanos(), |rate, cell, now| match cell.debit(rate, now) {
            Some(full_at) => Ok(rate.state(full_at, now)),
            None => Err(TooMany::at(rate, cell, now)),
        })
    }

    /// Debits a sign-in link from a client to an address of mail, whether or not anybody knows it.
    pub(super) fn admit_link(&self, client: Option<IpAddr>, to: &MailAddress) -> Result<(), TooMany> {
        let now = self.clock.nanos();
        let debit = |rate: &Rate, cell: &RateCell, now: u64| match cell.debit(rate, now) {
            Some(_) => Ok(()),
            None => Err(TooMany::at(rate, cell, now)),
        };
        self.links_of_clients.with(client.map(origin::subscriber), now, debit)?;
        self.links_to_addresses.with(to.to_lowercase(), now, debit)
    }

    /// Checks that the address may try a credential.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), TooMany> {
        self.guesses.with(origin::subscriber(address), self.clock.nanos(), |rate, cell, now| {
            if cell.wait(rate, now) == 0 { Ok(()) } else { Err(TooMany::at(rate, cell, now)) }
        })
    }

    /// Counts a failed login from the address.
    pub(super) fn count_guess(&self, address: IpAddr) {
        self.guesses.with(origin::subscriber(address), self.clock.nanos(), |rate, cell, now| {
            cell.debit(rate, now);
        });
    }
}

impl TooMany {
    fn at(rate: &Rate, cell: &RateCell, now: u64) -> Self {
        Self {
            retry_after_seconds: cell.wait(rate, now).div_ceil(NANOS_PER_SECOND).max(1),
            state: rate.state(cell.full_at(), now),
        }
    }
}

impl<K: Eq + Hash> Cells<K> {
    fn new(policy: &'static str, window: RateWindow, limit: RateLimit) -> Self {
        let rate = Rate::new(policy, window, limit);
        Self { rate, of_callers: Mutex::default(), shared: RateCell::default() }
    }

    fn with<T>(&self, caller: K, now: u64, work: impl FnOnce(&Rate, &RateCell, u64) -> T) -> T {
        let mut cells = self.of_callers.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= CALLERS_MOST && !cells.contains_key(&caller) {
            // A full bucket holds no information.
            cells.retain(|_, cell| cell.full_at() > now);
            if cells.len() >= CALLERS_MOST {
                return work(&self.rate, &self.shared, now);
            }
        }
        work(&self.rate, cells.entry(caller).or_default(), now)
    }
}

/// Adds the state of a limit to the headers.
pub(super) fn tell(state: &LimitState, headers: &mut HeaderMap) {
    let LimitState { policy, quota, window_seconds, reset_seconds, .. } = *state;
    let remaining = state.remaining.min(quota);
    let values = [
        (POLICY, format!("\"{policy}\";q={quota};w={window_seconds}")),
        (RATE_LIMIT, format!("\"{policy}\";r={remaining};t={reset_seconds}")),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn throttle(clock: &Clock) -> Throttle {
        Throttle::new(RateLimit { limit: 60, burst: 3 }, RateLimit { limit: 6, burst: 2 }, clock.clone())
    }

    #[test]
    fn each_tenant_has_its_own_bucket_that_refills() {
        let clock = Clock::manual();
        let throttle = throttle(&clock);
        let (one, other) = (Some(TenantId::from_u128(1)), Some(TenantId::from_u128(2)));
        for remaining in [2, 1, 0] {
            assert_eq!(throttle.admit(one).unwrap().remaining, remaining);
        }
        let refused = throttle.admit(one).unwrap_err();
        assert_eq!((refused.retry_after_seconds, refused.state.remaining), (1, 0));
        assert!(throttle.admit(other).is_ok() && throttle.admit(None).is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(throttle.admit(one).is_ok());
        assert!(throttle.admit(one).is_err());
    }

    #[test]
    fn guessing_network_is_refused_for_a_while_and_other_networks_are_not() {
        let clock = Clock::manual();
        let throttle = throttle(&clock);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for host in ["2001:db8::1", "2001:db8::2"] {
            assert!(throttle.check(address(host)).is_ok());
            throttle.count_guess(address(host));
        }
        let refused = throttle.check(address("2001:db8::3")).unwrap_err();
        assert_eq!(refused.retry_after_seconds, 10, "one network counts together");
        assert!(throttle.check(address("2001:db8:0:1::1")).is_ok() && throttle.check(address("198.51.100.1")).is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(throttle.check(address("2001:db8::3")).is_ok());
    }

    #[test]
    fn flood_of_addresses_takes_bounded_memory() {
        let clock = Clock::manual();
        let throttle = throttle(&clock);
        for host in 0..u32::try_from(CALLERS_MOST).unwrap() + 10 {
            throttle.count_guess(IpAddr::V4(host.into()));
        }
        assert_eq!(throttle.guesses.of_callers.lock().unwrap().len(), CALLERS_MOST);
        assert!(throttle.check("203.0.113.9".parse().unwrap()).is_err(), "those beyond share one bucket");
        clock.advance(Duration::from_mins(1));
        assert!(throttle.check("203.0.113.9".parse().unwrap()).is_ok());
        assert_eq!(throttle.guesses.of_callers.lock().unwrap().len(), 1, "and the rest is forgotten in time");
    }

    #[test]
    fn remaining_header_is_at_most_the_limit() {
        let mut headers = HeaderMap::new();
        let rate = Rate::new("p", RateWindow::Minute, RateLimit { limit: 60, burst: 90 });
        tell(&rate.state(0, 0), &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"p\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"p\";r=60;t=0");
    }
}
