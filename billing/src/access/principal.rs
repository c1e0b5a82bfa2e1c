//! The principal: a caller whose credential was accepted.

use std::net::IpAddr;

use common::{
    acting::{Acting, Actor, ActorKind, IdempotencyKey, Scope},
    admin::{AdminScope, Role},
    api::{me::PrincipalKind, problem::ProblemCode},
    id::{SessionId, TenantId},
    time::Micros,
};

use super::rules::reaches;
use crate::problem::Problem;

/// A caller whose credential was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Kind of credential.
    pub kind: PrincipalKind,
    /// The subject of a person's token, the id of an admin key; `bootstrap`.
    pub name: String,
    /// The tenant at which the role is held; none is above every tenant.
    pub tenant: Option<TenantId>,
    /// The role at the tenant and below.
    pub role: Role,
    /// Scopes that narrow the role; empty: all of the role.
    pub scopes: Vec<AdminScope>,
    /// Expiry of the credential; credentials that the principal creates end no later.
    pub expires_at: Option<Micros>,
    /// The session by which the principal acts, if it does so in a browser.
    pub session: Option<SessionId>,
}

impl Principal {
    /// The principal of the bootstrap token.
    pub fn bootstrap() -> Self {
        Self {
            kind: PrincipalKind::Bootstrap,
            name: "bootstrap".into(),
            tenant: None,
            role: Role::Owner,
            scopes: Vec::new(),
            expires_at: None,
            session: None,
        }
    }

    /// The actor and scope with which the store is used for this principal.
    pub fn acting(
        &self,
        address: Option<IpAddr>,
        request_id: Option<String>,
        idempotency: Option<IdempotencyKey>,
    ) -> Acting {
        let kind = match self.kind {
            PrincipalKind::Person => ActorKind::Person,
            PrincipalKind::AdminKey => ActorKind::AdminKey,
            PrincipalKind::LinkUser => ActorKind::LinkUser,
            PrincipalKind::Bootstrap => ActorKind::Bootstrap,
        };
        Acting {
            actor: Actor { kind, name: self.name.clone(), address, request_id },
            scope: self.tenant.map_or(Scope::Everything, Scope::Subtree),
            idempotency,
            until: self.expires_at,
        }
    }

    /// Returns true if the principal's scopes include this one.
    pub fn covers(&self, scope: AdminScope) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|held| held.includes(scope))
    }

    /// Checks that the principal may make credentials. A person who signed in by a link may not: what
    /// they made would outlive the admin key that made the link.
    pub fn may_make_credentials(&self) -> Result<(), Problem> {
        if self.kind != PrincipalKind::LinkUser {
            return Ok(());
        }
        let detail = "you signed in by a link: sign in with an admin key to make admin keys or links";
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }

    /// Checks that the principal may grant a role with these scopes: at most its own.
    pub fn may_grant(&self, role: Role, scopes: &[AdminScope]) -> Result<(), Problem> {
        self.may_make_credentials()?;
        let refuse = |detail: String| Err(Problem::new(ProblemCode::Forbidden, detail));
        if !reaches(self.role, role) {
            return refuse(format!("the role {role} is above your own, {}", self.role));
        }
        if scopes.is_empty() && !self.scopes.is_empty() {
            return refuse("your key is narrowed to scopes: name the scopes of the new key".into());
        }
        match scopes.iter().find(|scope| !self.covers(**scope)) {
            Some(scope) => refuse(format!("the scope {scope} is not among your own")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::admin::AdminArea;

    use super::*;

    fn machine(role: Role, scopes: &[AdminScope]) -> Principal {
        Principal {
            kind: PrincipalKind::AdminKey,
            name: "adk_1".into(),
            tenant: Some(TenantId::from_u128(1)),
            role,
            scopes: scopes.to_vec(),
            expires_at: None,
            session: None,
        }
    }

    #[test]
    fn principal_sees_its_own_subtree() {
        let acting = machine(Role::Admin, &[]).acting(None, Some("r-1".into()), None);
        assert_eq!(acting.scope, Scope::Subtree(TenantId::from_u128(1)));
        assert_eq!((acting.actor.kind, acting.actor.name.as_str()), (ActorKind::AdminKey, "adk_1"));
        assert_eq!(Principal::bootstrap().acting(None, None, None).scope, Scope::Everything);
    }

    #[test]
    fn principal_grants_at_most_its_own_role_and_scopes() {
        let (read, write) = (AdminScope::read(AdminArea::AdminKeys), AdminScope::write(AdminArea::AdminKeys));
        let keys = AdminScope::read(AdminArea::Keys);
        let narrowed = machine(Role::Owner, &[write]);
        assert!(narrowed.may_grant(Role::Owner, &[read]).is_ok());
        assert!(narrowed.may_grant(Role::Owner, &[]).is_err(), "no scopes are all scopes");
        assert!(narrowed.may_grant(Role::Viewer, &[keys]).is_err());
        assert!(machine(Role::Admin, &[]).may_grant(Role::Owner, &[]).is_err());
        assert!(machine(Role::Admin, &[]).may_grant(Role::Admin, &[keys]).is_ok());
    }
}
