//! The caller, as the API sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    admin::{AdminScope, Role},
    id::TenantId,
};

/// The caller.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Me)]
pub struct MeDocument {
    /// Kind of credential.
    pub kind: PrincipalKind,
    /// The subject of a person's token, the id of an admin key, the name that a sign-in link was made
    /// for, or `bootstrap`.
    pub name: String,
    /// The tenant at which the role is held; null is above every tenant.
    #[schema(value_type = Option<String>, required = true)]
    pub tenant: Option<TenantId>,
    /// The role at the tenant and below.
    pub role: Role,
    /// Scopes that narrow the role; empty: all of the role.
    #[schema(value_type = Vec<String>, example = json!(["keys:write", "usage:read"]))]
    pub scopes: Vec<AdminScope>,
}

/// Kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person, with a token of the identity provider.
    Person,
    /// A machine, with an admin key.
    AdminKey,
    /// A person, who signed in by a link that was made for them.
    LinkUser,
    /// The bootstrap token, which sets up the first tenant.
    Bootstrap,
}
