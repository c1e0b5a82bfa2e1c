//! Actors: who made a change or a key. Of actors above the caller's tenant, only their kind is
//! told.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    acting::{ActorKind, Creator},
    id::TenantId,
};

/// The actor behind a change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorDocument {
    /// Kind of actor.
    pub kind: ActorKind,
    /// The subject of a person's token, the id of an admin key, a user of the command line, or a
    /// program. Null for an actor above the caller's tenant; address and request are null then,
    /// too.
    #[schema(required = true)]
    pub name: Option<String>,
    /// Address that the request came from.
    #[schema(value_type = Option<String>, required = true)]
    pub address: Option<IpAddr>,
}

/// The creator of a key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Creator)]
pub struct CreatorDocument {
    /// Kind of actor.
    pub kind: ActorKind,
    /// The subject of a person's token, the id of an admin key, a user of the command line, or a
    /// program. Null for an actor above the caller's tenant.
    #[schema(required = true)]
    pub name: Option<String>,
    /// The tenant at which the creator holds its role. Null for an actor above the caller's tenant,
    /// or above every tenant.
    #[schema(value_type = Option<String>, required = true)]
    pub tenant: Option<TenantId>,
}

impl From<Creator> for CreatorDocument {
    fn from(Creator { kind, name, tenant }: Creator) -> Self {
        Self { kind, name, tenant }
    }
}
