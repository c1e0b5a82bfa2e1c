//! Who made a key.

use std::fmt;

use common::{
    acting::{ActorKind, Creator},
    id::TenantId,
};
use serde::{Deserialize, Serialize};

/// Who made a key, as far as whoever asks may know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreatorView {
    kind: ActorKind,
    name: Option<String>,
    tenant: Option<TenantId>,
}

impl From<Creator> for CreatorView {
    fn from(Creator { kind, name, tenant }: Creator) -> Self {
        Self { kind, name, tenant }
    }
}

impl fmt::Display for CreatorView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = &self.name else {
            return write!(formatter, "{} above", self.kind);
        };
        write!(formatter, "{} {name}", self.kind)?;
        self.tenant.map_or(Ok(()), |tenant| write!(formatter, " at {tenant}"))
    }
}
