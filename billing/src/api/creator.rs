//! Who made something, as far as the caller may know: of those above it sees no more than what kind of actor they are.

use common::{
    acting::{ActorKind, Creator},
    id::TenantId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::audit_log::ActorKindWord;

/// Who made a key.
#[derive(Serialize, ToSchema)]
#[schema(as = Creator)]
pub(super) struct CreatorDocument {
    /// What kind of actor.
    #[schema(value_type = ActorKindWord)]
    kind: ActorKind,
    /// The subject of a person's token, the id of an admin key, a user of the command line, a program; null for somebody
    /// above you.
    #[schema(required = true)]
    name: Option<String>,
    /// Where their role is held; null for somebody above you, or above every tenant.
    #[schema(value_type = Option<String>, required = true)]
    tenant: Option<TenantId>,
}

impl From<Creator> for CreatorDocument {
    fn from(Creator { kind, name, tenant }: Creator) -> Self {
        Self { kind, name, tenant }
    }
}
