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

    /// Returns this refusal, unless it only asks for a key and the route is unclear: a key would
    /// not help then, and the client is told what is wrong with its path or host instead.
    pub(crate) fn unless_unclear(self: Box<Self>, route: Result<Arc<Route>, Problem>) -> Box<Self> {
        match route {
            Err(problem)
                if self.problem.code() == Code::MissingCredential && problem.code() == Code::InvalidRequest =>
            {
                Self::of_nobody(problem)
            }
            _ => self,
        }
    }
}
