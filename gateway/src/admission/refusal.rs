//! A request that may not go on.

use std::sync::Arc;

use common::id::{KeyId, TenantId};

use crate::{
    answer::{Code, Problem},
    auth::AuthRefusal,
    catalog::Caller,
    route::Route,
};

/// A request that may not go on, with what is known of it.
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Tenant and key, once the key is known.
    pub(crate) owner: Option<(TenantId, KeyId)>,
    pub(crate) caller: Option<Caller>,
    pub(crate) route: Option<Arc<Route>>,
}

impl Refusal {
    pub(super) fn of(caller: Option<Caller>, route: Option<Arc<Route>>, problem: Problem) -> Box<Self> {
        let owner = caller.as_ref().map(|caller| (caller.tenant.id, caller.key.id));
        Box::new(Self { problem, owner, caller, route })
    }

    pub(crate) fn of_nobody(problem: Problem) -> Box<Self> {
        Self::of(None, None, problem)
    }

    pub(super) fn of_credential(refusal: AuthRefusal) -> Box<Self> {
        Box::new(Self { problem: refusal.error.into(), owner: refusal.owner, caller: None, route: None })
    }

    /// Returns this refusal, unless it only asks for a key. Where the route is unclear, a key would
    /// not help, and the client is told what is wrong with its path or host instead; where the route
    /// has places of its own for credentials, it is told which.
    pub(crate) fn to_route(self: Box<Self>, route: Result<Arc<Route>, Problem>) -> Box<Self> {
        if self.problem.code() != Code::MissingCredential {
            return self;
        }
        match route {
            Err(problem) if problem.code() == Code::InvalidRequest => Self::of_nobody(problem),
            Ok(route) => match &route.credentials {
                Some(places) => Self::of_nobody(Problem::new(Code::MissingCredential, places.expected())),
                None => self,
            },
            Err(_) => self,
        }
    }
}
