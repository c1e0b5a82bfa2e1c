//! What a handler gets to know of its caller, and the store that it may work with.

use std::net::IpAddr;

use axum::{extract::FromRequestParts, http::request::Parts};
use common::{acting::IdempotencyKey, api::problem::ProblemCode, id::TenantId, store::Store, tenant::TenantKind};

use super::{
    Principal,
    rules::{Grant, Relation},
};
use crate::problem::Problem;

/// Somebody who may do what they ask for.
#[derive(Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// Where the request came from, if that is known.
    pub address: Option<IpAddr>,
    /// What the request is called in logs.
    pub request_id: String,
    /// Sees everything, and is not handed out.
    store: Store,
}

/// Somebody who is known and has not said yet which tenant they mean.
#[derive(Clone)]
pub struct Unplaced {
    caller: Caller,
    grant: Grant,
}

/// What the guard leaves for the handler.
#[derive(Clone)]
pub(super) enum Admitted {
    Caller(Caller),
    Unplaced(Unplaced),
}

impl Caller {
    pub(super) fn new(principal: Principal, address: Option<IpAddr>, request_id: String, store: Store) -> Self {
        Self { principal, address, request_id, store }
    }

    /// The store as it exists for them: changes are logged as theirs, and what is outside their subtree is not there.
    pub fn store(&self) -> Store {
        self.creating(None)
    }

    /// The same, to create something once under the name that they gave it.
    pub fn creating(&self, idempotency: Option<IdempotencyKey>) -> Store {
        self.store.acting_as(self.principal.acting(self.address, Some(self.request_id.clone()), idempotency))
    }

    /// Whether they may do to `tenant` what `grant` is about; it is not found if it is not theirs.
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
            (None, _) => "this is up to those above: nobody does it to their own tenant".into(),
        };
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }
}

impl Unplaced {
    pub(super) const fn new(caller: Caller, grant: Grant) -> Self {
        Self { caller, grant }
    }

    /// The caller, if they may do this to the tenant that the body names; with none, above every tenant.
    pub async fn at(self, tenant: Option<TenantId>) -> Result<Caller, Problem> {
        match (tenant, self.caller.principal.tenant) {
            (Some(tenant), _) => self.caller.check(&self.grant, tenant).await?,
            (None, None) => self.caller.admit(self.grant, Relation::Above)?,
            (None, Some(_)) => {
                return Err(Problem::new(ProblemCode::Forbidden, "nobody below may do this beside their own tenant"));
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

/// The handler and the table do not agree about this operation.
fn unguarded() -> Problem {
    Problem::new(ProblemCode::Forbidden, "nobody may do this")
}
