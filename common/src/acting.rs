//! Who changes or reads something, and how far they may see: it goes into the audit log and decides what exists for them.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{id::TenantId, time::Micros, word::UnknownWord};

/// On whose behalf the store is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// Who.
    pub actor: Actor,
    /// What exists for them.
    pub scope: Scope,
    /// What a creation is remembered by, so that asking again does not create again.
    pub idempotency: Option<IdempotencyKey>,
    /// When the credential ends that is acted with: no credential made with it lives longer.
    pub until: Option<Micros>,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The subject of a person's token, the id of an admin key, the user on the command line, the program.
    pub name: String,
    /// Where the request came from, if it came over the network.
    pub address: Option<IpAddr>,
    /// What the request is called in logs.
    pub request_id: Option<String>,
}

/// Who made a key, as far as whoever looks may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Who; none for those who look from below.
    pub name: Option<String>,
    /// Where their role is held. None: above every tenant, not written down, or not for those who look from below.
    pub tenant: Option<TenantId>,
}

/// Kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// One of the programs by itself.
    Program,
    /// Somebody on the command line, with the store's own address.
    Operator,
    /// Somebody with a token of the identity provider.
    Person,
    /// A machine with an admin key.
    AdminKey,
    /// Whoever sets up the first tenant.
    Bootstrap,
}

/// What exists for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// A tenant and everybody below it; the rest is as if it were not there.
    Subtree(TenantId),
}

/// What a creation is remembered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// What the client sent; each actor has names of its own.
    pub key: String,
    /// What tells this request from another under the same key: a digest of it.
    pub fingerprint: String,
}

impl Acting {
    /// A program by itself: it sees everything.
    pub fn program(name: &str) -> Self {
        Self::everywhere(ActorKind::Program, name)
    }

    /// Somebody on the command line, who holds the store's own address and sees everything.
    pub fn operator(name: &str) -> Self {
        Self::everywhere(ActorKind::Operator, name)
    }

    fn everywhere(kind: ActorKind, name: &str) -> Self {
        Self {
            actor: Actor { kind, name: name.into(), address: None, request_id: None },
            scope: Scope::Everything,
            idempotency: None,
            until: None,
        }
    }

    /// Whoever acts, as the creator of what they make.
    pub fn creator(&self) -> Creator {
        Creator { kind: self.actor.kind, name: Some(self.actor.name.clone()), tenant: self.scope.tenant() }
    }
}

impl Scope {
    /// The tenant whose subtree it is.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Everything => None,
            Self::Subtree(tenant) => Some(tenant),
        }
    }
}

impl ActorKind {
    /// The word used in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Operator => "operator",
            Self::Person => "person",
            Self::AdminKey => "admin_key",
            Self::Bootstrap => "bootstrap",
        }
    }
}

impl fmt::Display for ActorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for ActorKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Program, Self::Operator, Self::Person, Self::AdminKey, Self::Bootstrap]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| UnknownWord::new("kind of actor", "program, operator, person, admin_key, bootstrap", word))
    }
}
