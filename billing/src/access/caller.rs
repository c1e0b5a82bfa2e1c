//! The caller of a handler, with a store that shows the caller's subtree and nothing else.

use std::net::IpAddr;

use axum::{extract::FromRequestParts, http::request::Parts};
use common::{acting::IdempotencyKey, api::problem::ProblemCode, id::TenantId, store::Store, tenant::TenantKind};

use super::{
    Principal,
    rules::{Grant, Relation},
};
use crate::problem::Problem;

/// A caller that may use the operation.
#[derive(Clone)]
pub struct Caller {
    /// The authenticated principal.
    pub principal: Principal,
    /// Address that the request came from, if known.
    pub address: Option<IpAddr>,
    /// Id of the request in the logs.
    pub request_id: String,
    /// The store with everything in it; handlers get a narrowed one.
    store: Store,
}

/// An authenticated caller of an operation whose body names the tenant; it is checked once the body
/// is read.
#[derive(Clone)]
pub struct Unplaced {
    caller: Caller,
    grant: Grant,
}

/// The result of the guard, for the handler.
#[derive(Clone)]
pub(super) enum Admitted {
    Caller(Caller),
    Unplaced(Unplaced),
}

impl Caller {
    pub(super) fn new(principal: Principal, address: Option<IpAddr>, request_id: String, store: Store) -> Self {
        Self { principal, address, request_id, store }
    }

    /// The store as it exists for the caller: changes are logged as the caller's, and only the
    /// caller's subtree is visible.
    pub fn store(&self) -> Store {
        self.creating(None)
    }

    /// The same store, for a creation that happens once under the caller's idempotency key.
    pub fn creating(&self, idempotency: Option<IdempotencyKey>) -> Store {
        self.store.acting_as(self.principal.acting(self.address, Some(self.request_id.clone()), idempotency))
    }

    /// Checks that the caller may use an operation with this grant on `tenant`. A tenant outside
    /// the subtree is not found.
    pub(super) async fn check(&self, grant: &Grant, tenant: TenantId) -> Result<(), Problem> {
        let found = self.store().tenant(tenant).await?;
        let relation = match self.principal.tenant {
            None => Relation::Above,
            Some(own) if own != found.id => Relation::Below,
            Some(_) if found.kind == TenantKind::Root => Relation::OwnRoot,
            Some(_) => Relation::Own,
        };
        self.admit(*grant, relation)
    }

    pub(super) fn admit(&self, grant: Grant, relation: Relation) -> Result<(), Problem> {
        let role = self.principal.role;
        if grant.admits(role, relation) {
            return Ok(());
        }
        let detail = match (grant.least(relation), relation) {
            (Some(least), _) => format!("your role is {role}; this takes {least} at least"),
            (None, Relation::Own | Relation::OwnRoot) if grant.own_root.is_some() && grant.below.is_none() => {
                "only the root may do this".into()
            }
            (None, _) => "only a role at a tenant above yours may do this".into(),
        };
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }
}

impl Unplaced {
    pub(super) const fn new(caller: Caller, grant: Grant) -> Self {
        Self { caller, grant }
    }

    /// The tenant of the caller's role; none above every tenant.
    pub const fn tenant(&self) -> Option<TenantId> {
        self.caller.principal.tenant
    }

    /// The caller, if it may use the operation on the tenant that the body names; without a tenant,
    /// above every tenant.
    pub async fn at(self, tenant: Option<TenantId>) -> Result<Caller, Problem> {
        match (tenant, self.caller.principal.tenant) {
            (Some(tenant), _) => self.caller.check(&self.grant, tenant).await?,
            (None, None) => self.caller.admit(self.grant, Relation::Above)?,
            (None, Some(_)) => {
                return Err(Problem::new(
                    ProblemCode::Forbidden,
                    "only a role above every tenant may do this: name a parent",
                ));
            }
        }
        Ok(self.caller)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Admitted>() {
            Some(Admitted::Caller(caller)) => Ok(caller.clone()),
            _ => Err(unguarded()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Unplaced {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Admitted>() {
            Some(Admitted::Unplaced(unplaced)) => Ok(unplaced.clone()),
            _ => Err(unguarded()),
        }
    }
}

/// The problem if handler and table disagree about an operation.
fn unguarded() -> Problem {
    Problem::new(ProblemCode::Forbidden, "this operation is not open to any role")
}
