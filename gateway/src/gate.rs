//! What is asked of every request, whoever forwards it: who is calling, which route it takes, whether its usage can be
//! recorded, and whether the limits let it on. The proxy and the decision API ask here, in this order.
//!
//! What holds: a refusal consumes nothing, and whatever is recorded was admitted before.

use std::{net::IpAddr, sync::Arc};

use common::{
    id::{KeyId, TenantId},
    key::KeyHash,
    time::Micros,
    usage::UsageRecord,
};
use http::Method;

use crate::{
    answer::{Code, Problem},
    auth::{
        self, AuthError, AuthRefusal, Authenticator, Caller,
        failures::{Failures, Origin},
    },
    config::{Public, Route, SizeLimits},
    filter::by_address::ByAddress,
    limit::{Admission, Clock, LimitState, LimitStates, Limiter},
    meter::{Meter, MeterError},
    route::{self, Table},
};

/// Seconds after which a request may try again that was refused because its usage could not be recorded.
const UNRECORDED_RETRY_SECONDS: u64 = 1;

/// Where a request comes from, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Whence {
    /// The client's address.
    pub(crate) address: Option<IpAddr>,
    /// Failed credentials in a minute that one address may send, if they are counted.
    pub(crate) failures_most: Option<u32>,
}

/// The rooms that every request passes.
pub struct Gate {
    authenticator: Authenticator,
    failures: Failures,
    limiter: Limiter,
    meter: Arc<Meter>,
    by_address: ByAddress,
}

/// A request that may not go on, with what is known of it.
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Tenant and key, once the key is known.
    pub(crate) owner: Option<(TenantId, KeyId)>,
    pub(crate) caller: Option<Caller>,
    pub(crate) route: Option<Arc<Route>>,
}

impl Gate {
    /// A gate of these rooms.
    pub fn new(authenticator: Authenticator, limiter: Limiter, meter: Arc<Meter>) -> Self {
        let (failures, by_address) = (Failures::new(Clock::default()), ByAddress::new(Clock::default()));
        Self { authenticator, failures, limiter, meter, by_address }
    }

    /// The catalog that callers are looked up in.
    pub const fn catalog(&self) -> &Arc<crate::catalog::Catalog> {
        &self.authenticator.catalog
    }

    /// The meter that usage is recorded with.
    pub const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The caller behind a credential, if it may be used from there. What has the form of a key is not looked up once
    /// too many others from there have failed.
    pub(crate) fn identify(
        &self,
        credential: Result<&[u8], AuthError>,
        whence: Whence,
        now: Micros,
    ) -> Result<Caller, Box<Refusal>> {
        let Whence { address, failures_most } = whence;
        let origin = address.zip(failures_most).map(|(address, failures_most)| Origin { address, failures_most });
        let secret = auth::read(credential).map_err(Refusal::of_credential)?;
        if let Some(origin) = &origin {
            self.failures.check(origin).map_err(|refused| Box::new(Refusal::of_nobody(refused.into())))?;
        }
        let caller = self.authenticator.look_up(&secret, now).map_err(|refusal| {
            if let Some(origin) = origin.as_ref().filter(|_| refusal.error.is_failed_key()) {
                self.failures.count(origin);
            }
            Refusal::of_credential(refusal)
        })?;
        if caller.key.admits_from(address) {
            return Ok(caller);
        }
        Err(Box::new(Refusal::of(caller, None, foreign_address(address))))
    }

    /// The keyed hash of a credential, whether or not there is such a key.
    pub(crate) fn hash(&self, credential: Result<&[u8], AuthError>) -> Result<KeyHash, Problem> {
        let secret = auth::read(credential).map_err(|refusal| Problem::from(refusal.error))?;
        Ok(self.authenticator.pepper.hash(&secret))
    }

    /// Debits every limit that applies to a request of `units`, if its usage could be recorded; or none.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        route: &Route,
        units: u64,
        now: Micros,
    ) -> Result<Admission, Problem> {
        check_scope(caller, route)?;
        self.check_room()?;
        Ok(self.limiter.ask(caller, route, units, now).admit_or_wait().await?)
    }

    /// Lets a client at `address` call a public route, if it does not call too often. Nothing is recorded of it. Returns
    /// how its limit stands, if there is one.
    pub(crate) fn admit_public(
        &self,
        route: &Route,
        public: &Public,
        address: Option<IpAddr>,
    ) -> Result<Option<LimitState>, Problem> {
        let limited = public.rate.as_ref().zip(address);
        Ok(limited.map(|(rate, address)| self.by_address.admit(&route.name, address, rate)).transpose()?)
    }

    /// How the limits stand for a request of `units` that would be admitted now. Nothing is consumed.
    pub(crate) async fn peek(
        &self,
        caller: &Caller,
        route: &Route,
        units: u64,
        now: Micros,
    ) -> Result<LimitStates, Problem> {
        check_scope(caller, route)?;
        self.check_room()?;
        Ok(self.limiter.ask(caller, route, units, now).peek_or_wait().await?)
    }

    /// How the limits stand now, as the caller is told with its answer.
    pub(crate) fn limits(&self, caller: &Caller, route: &Route, now: Micros) -> LimitStates {
        self.limiter.ask(caller, route, route.units.estimate(), now).standing()
    }

    fn check_room(&self) -> Result<(), Problem> {
        if self.meter.has_room() {
            return Ok(());
        }
        Err(Problem::new(Code::UsageUnavailable, "usage is not being collected; nothing was forwarded")
            .retry_after(UNRECORDED_RETRY_SECONDS))
    }

    /// Records what an admitted request used, and gives what of it is billed: the units that count against quotas.
    pub(crate) fn record(
        &self,
        caller: &Caller,
        route: &Route,
        admission: &Admission,
        units: u64,
        status: u16,
    ) -> Result<u64, MeterError> {
        self.record_as(caller, route, admission, units, status, route.billable.covers(status))
    }

    /// The same for a request whose status does not tell by itself whether it is billed.
    pub(crate) fn record_as(
        &self,
        caller: &Caller,
        route: &Route,
        admission: &Admission,
        units: u64,
        status: u16,
        billable: bool,
    ) -> Result<u64, MeterError> {
        self.meter.record(&UsageRecord {
            at: admission.at,
            tenant: caller.tenant.id,
            key: caller.key.id,
            route: Arc::clone(&route.name),
            meter: Arc::clone(&route.meter),
            units,
            status,
            billable,
            mode: caller.key.mode,
            prepaid: admission.is_prepaid(),
        })?;
        Ok(if billable { units } else { 0 })
    }

    /// Counts a refusal, if it is known whose it is.
    pub(crate) fn count(&self, refusal: &Refusal) {
        if let Some((tenant, key)) = refusal.owner {
            self.meter.refused(tenant, key, refusal.problem.code().as_str());
        }
    }
}

impl Refusal {
    fn of_credential(refusal: AuthRefusal) -> Box<Self> {
        Box::new(Self { owner: refusal.owner, ..Self::of_nobody(refusal.error.into()) })
    }

    pub(crate) const fn of_nobody(problem: Problem) -> Self {
        Self { problem, owner: None, caller: None, route: None }
    }

    pub(crate) fn of(caller: Caller, route: Option<Arc<Route>>, problem: Problem) -> Self {
        Self { problem, owner: Some((caller.tenant.id, caller.key.id)), caller: Some(caller), route }
    }
}

/// Refuses a key that has scopes, and not the one that the route asks for.
fn check_scope(caller: &Caller, route: &Route) -> Result<(), Problem> {
    match &route.scope {
        Some(scope) if !caller.key.has_scope(scope) => {
            let detail = format!("this route asks for the scope `{scope}`, which the API key does not have");
            Err(Problem::new(Code::ScopeMissing, detail))
        }
        _ => Ok(()),
    }
}

fn foreign_address(address: Option<IpAddr>) -> Problem {
    let detail = match address {
        Some(address) => format!("the API key may not be used from {}", address.to_canonical()),
        None => "the API key may only be used from certain addresses, and the client's is not known".to_owned(),
    };
    Problem::new(Code::AddressNotAllowed, detail)
}

/// What a client is told whose usage could not be recorded.
pub(crate) fn unrecorded() -> Problem {
    Problem::new(Code::UsageUnavailable, "the answer's usage could not be recorded")
        .retry_after(UNRECORDED_RETRY_SECONDS)
}

/// The route of a request. `host` is the `Host` header as sent, `path` is without query.
pub(crate) fn find_route<'a>(
    table: &'a Table,
    host: Option<&str>,
    path: &str,
    method: &Method,
) -> Result<&'a Arc<Route>, Problem> {
    Ok(table.find(host, &route::decode_path(path)?, method)?)
}

/// Refuses a path and query that are too long together.
pub(crate) fn check_path(bytes: usize, sizes: &SizeLimits) -> Result<(), Problem> {
    if bytes <= sizes.path_bytes {
        return Ok(());
    }
    let detail = format!("path and query have {bytes} bytes; at most {} are allowed", sizes.path_bytes);
    Err(Problem::new(Code::PathTooLong, detail))
}
