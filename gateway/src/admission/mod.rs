//! The one way in: identifies a request's caller, checks its route, and debits its limits. The
//! proxy and the decision API both go through it.
//!
//! Invariants: a refusal consumes nothing; a request is recorded only after it was admitted.

mod refusal;
mod usage;

use std::{net::IpAddr, sync::Arc};

use common::{id::KeyId, jwt::TokenError, key::KeyHash, time::Micros};
pub(crate) use refusal::Refusal;
pub(crate) use usage::unrecorded;

use crate::{
    answer::{Code, Problem},
    auth::{
        self, AcceptedIssuer, AuthError, Authenticator, TokenHolder, TokenRefusal, TokenTerms,
        failures::{Failures, Origin},
    },
    catalog::{Caller, Catalog},
    filter::by_address::ByAddress,
    limit::{self, Clock, LimitState, LimitStates, Limiter},
    meter::Meter,
    route::{RequestView, Route, Table},
};

/// Identifies, checks and limits requests, and records their usage.
pub struct AdmissionControl {
    authenticator: Authenticator,
    failures: Failures,
    limiter: Limiter,
    meter: Arc<Meter>,
    by_address: ByAddress,
}

/// A credential as far as it was read.
pub(crate) enum Credential<'a> {
    /// An API key, if it has the form of one.
    Key(&'a [u8]),
    /// The key that a token stands for.
    Token(TokenHolder),
    /// The key that the client's certificate stands for.
    Certificate(KeyId),
}

/// A request that asks to be admitted.
pub(crate) struct Arrival<'a> {
    pub(crate) credential: Result<Credential<'a>, AuthError>,
    /// The key that the client's certificate stands for, on routes that take certificates.
    pub(crate) certificate_key: Option<KeyId>,
    /// The route that its host, path and method lead to.
    pub(crate) route: Result<Arc<Route>, Problem>,
    /// The client's address, if it is known.
    pub(crate) address: Option<IpAddr>,
    /// Failed credentials a minute that one address may send, if they are counted.
    pub(crate) failures_most: Option<u32>,
    pub(crate) now: Micros,
}

/// A request whose caller and route are known.
pub(crate) struct Identified {
    /// None on a public route.
    pub(crate) caller: Option<Caller>,
    pub(crate) route: Arc<Route>,
    pub(crate) now: Micros,
    /// The terms of its token, if it came with one.
    pub(crate) token: Option<TokenTerms>,
    address: Option<IpAddr>,
}

/// Proof that a request was admitted.
pub(crate) enum Admitted {
    /// Held of the caller's limits until the answer's cost is known.
    Caller(limit::Admission),
    /// Counted for the client's address, on a public route. The state of that limit, if there is
    /// one.
    Address(Option<LimitState>),
}

impl AdmissionControl {
    /// Admission by these callers' credentials and limits, with usage recorded by `meter`.
    pub fn new(authenticator: Authenticator, limiter: Limiter, meter: Arc<Meter>) -> Self {
        let (failures, by_address) = (Failures::new(Clock::default()), ByAddress::new(Clock::default()));
        Self { authenticator, failures, limiter, meter, by_address }
    }

    /// The catalog that callers are looked up in.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.authenticator.catalog
    }

    /// The meter that usage is recorded with.
    pub const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The limiter that requests are debited by.
    pub const fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Identifies the caller, unless the route is public, and makes sure that there is a route.
    pub(crate) fn identify(&self, arrival: Arrival<'_>) -> Result<Identified, Box<Refusal>> {
        let certificate = arrival.key_of_certificate().map(Credential::Certificate);
        let Arrival { credential, route, address, failures_most, now, .. } = arrival;
        let credential = certificate.map_or(credential, Ok);
        check_address(&route, address)?;
        let (caller, token) = match &route {
            Ok(route) if route.public.is_some() => (None, None),
            _ => match self.caller(credential, address, failures_most, now) {
                Ok((caller, token)) => (Some(caller), token),
                Err(refusal) => return Err(refusal.to_route(route)),
            },
        };
        match route {
            Ok(route) => Ok(Identified { caller, route, now, token, address }),
            Err(problem) => Err(Refusal::of(caller, None, problem)),
        }
    }

    /// Returns the key that a token stands for. No token is looked at once too many other
    /// credentials from its address have failed.
    pub(crate) async fn token_holder(
        &self,
        issuer: &AcceptedIssuer,
        token: &str,
        origin: Option<Origin>,
        now: Micros,
    ) -> Result<TokenHolder, Box<Refusal>> {
        self.check_failures(origin.as_ref())?;
        issuer.holder(token, self.catalog(), now).await.map_err(|refusal| {
            if let (Some(origin), TokenRefusal::Token(TokenError::Foreign(_))) = (&origin, &refusal) {
                self.failures.count(origin);
            }
            Refusal::of_nobody(refusal.into())
        })
    }

    /// Debits every limit that applies to a request of `units`, if its usage could be recorded; or
    /// none.
    pub(crate) async fn admit(&self, request: &Identified, units: u64) -> Result<Admitted, Problem> {
        let Some(caller) = &request.caller else {
            return Ok(Admitted::Address(self.count_address(request)?));
        };
        self.check(caller, request)?;
        Ok(Admitted::Caller(self.limiter.admit(caller.request(&*request.route, units, request.now)).await?))
    }

    /// Returns the state of each limit, if a request of `units` would be admitted now. Nothing is
    /// consumed.
    pub(crate) async fn peek(&self, request: &Identified, units: u64) -> Result<LimitStates, Problem> {
        let Some(caller) = &request.caller else {
            return Ok(LimitStates::of(None));
        };
        self.check(caller, request)?;
        Ok(self.limiter.peek(caller.request(&*request.route, units, request.now)).await?)
    }

    /// Returns the state of each limit now, as the caller is told with its answer.
    pub(crate) fn limits(&self, caller: &Caller, route: &Route, now: Micros) -> LimitStates {
        self.limiter.states(caller.request(route, route.units.estimate(), now))
    }

    /// Returns the keyed hash of a credential, whether or not there is such a key.
    pub(crate) fn hash(&self, credential: Result<&[u8], AuthError>) -> Result<KeyHash, Problem> {
        let secret = auth::read(credential).map_err(|refusal| Problem::from(refusal.error))?;
        Ok(self.authenticator.pepper.hash(&secret))
    }

    /// Looks up the caller behind a credential, if it may be used from its address. Nothing is
    /// looked up once too many other credentials from that address have failed.
    fn caller(
        &self,
        credential: Result<Credential<'_>, AuthError>,
        address: Option<IpAddr>,
        failures_most: Option<u32>,
        now: Micros,
    ) -> Result<(Caller, Option<TokenTerms>), Box<Refusal>> {
        let (caller, token) = match credential {
            Ok(Credential::Token(TokenHolder { key, terms })) => {
                (Authenticator::caller(key, now).map_err(Refusal::of_credential)?, Some(terms))
            }
            Ok(Credential::Certificate(key)) => {
                (self.authenticator.look_up_id(key, now).map_err(Refusal::of_credential)?, None)
            }
            Ok(Credential::Key(text)) => (self.key_caller(Ok(text), origin(address, failures_most), now)?, None),
            Err(error) => (self.key_caller(Err(error), origin(address, failures_most), now)?, None),
        };
        if caller.key.admits_from(address) {
            return Ok((caller, token));
        }
        Err(Refusal::of(Some(caller), None, not_from_there("the API key", address)))
    }

    fn key_caller(
        &self,
        key: Result<&[u8], AuthError>,
        origin: Option<Origin>,
        now: Micros,
    ) -> Result<Caller, Box<Refusal>> {
        let secret = auth::read(key).map_err(Refusal::of_credential)?;
        self.check_failures(origin.as_ref())?;
        self.authenticator.look_up(&secret, now).map_err(|refusal| {
            if let Some(origin) = origin.as_ref().filter(|_| refusal.error.is_failed_key()) {
                self.failures.count(origin);
            }
            Refusal::of_credential(refusal)
        })
    }

    fn check_failures(&self, origin: Option<&Origin>) -> Result<(), Box<Refusal>> {
        let checked = origin.map_or(Ok(()), |origin| self.failures.check(origin));
        checked.map_err(|refused| Refusal::of_nobody(refused.into()))
    }

    /// Refuses a caller without the route's scope, and everybody while usage cannot be recorded.
    fn check(&self, caller: &Caller, request: &Identified) -> Result<(), Problem> {
        check_scope(caller, request.token.as_ref(), &request.route)?;
        self.check_room()
    }

    /// Counts a request to a public route for its client's address. Returns the state of that
    /// limit, if there is one.
    fn count_address(&self, request: &Identified) -> Result<Option<LimitState>, Problem> {
        let limited = request.route.per_address.as_ref().zip(request.address);
        let count = |(rate, address)| self.by_address.admit(&request.route.name, address, rate);
        Ok(limited.map(count).transpose()?)
    }
}

impl Arrival<'_> {
    /// The key that the request's certificate stands for, if its route takes certificates and it
    /// has no other credential.
    fn key_of_certificate(&self) -> Option<KeyId> {
        let is_alone = matches!(self.credential, Err(AuthError::Missing | AuthError::MissingHere));
        let takes_certificates = self.route.as_ref().is_ok_and(|route| route.client_certificates);
        self.certificate_key.filter(|_| is_alone && takes_certificates)
    }
}

impl Identified {
    /// A refusal of this request.
    pub(crate) fn refused(self, problem: Problem) -> Box<Refusal> {
        Refusal::of(self.caller, Some(self.route), problem)
    }
}

/// The address that failed credentials are counted for, if they are counted.
pub(crate) fn origin(address: Option<IpAddr>, failures_most: Option<u32>) -> Option<Origin> {
    address.zip(failures_most).map(|(address, failures_most)| Origin { address, failures_most })
}

/// Refuses a key or token that has scopes, and not the one that the route asks for.
fn check_scope(caller: &Caller, token: Option<&TokenTerms>, route: &Route) -> Result<(), Problem> {
    let Some(scope) = &route.scope else { return Ok(()) };
    let lacking = match token {
        _ if !caller.key.has_scope(scope) => "the API key",
        Some(token) if !token.has_scope(scope) => "the token",
        _ => return Ok(()),
    };
    let detail = format!("this route asks for the scope `{scope}`, which {lacking} does not have");
    Err(Problem::new(Code::ScopeMissing, detail))
}

/// Refuses an address that may not use the route.
pub(crate) fn check_address(route: &Result<Arc<Route>, Problem>, address: Option<IpAddr>) -> Result<(), Box<Refusal>> {
    match route {
        Ok(route) if route.addresses.as_ref().is_some_and(|addresses| !addresses.admit(address)) => {
            Err(Refusal::of(None, Some(Arc::clone(route)), not_from_there("the route", address)))
        }
        _ => Ok(()),
    }
}

/// The problem of a client whose address may not use the key or the route.
fn not_from_there(what: &str, address: Option<IpAddr>) -> Problem {
    let detail = match address {
        Some(address) => format!("{what} may not be used from {}", address.to_canonical()),
        None => format!("{what} may be used from certain addresses only, and the client's address is not known"),
    };
    Problem::new(Code::AddressNotAllowed, detail)
}

/// Finds the route of a request.
pub(crate) fn find_route(table: &Table, request: &RequestView<'_>) -> Result<Arc<Route>, Problem> {
    Ok(table.find(request).cloned()?)
}
