//! The actor of a change or a read, and its scope. The actor goes into the audit log; the scope
//! decides what exists for it.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{id::TenantId, time::Micros, word::UnknownWord};

/// On whose behalf the store is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// The actor.
    pub actor: Actor,
    /// The tenants that exist for the actor.
    pub scope: Scope,
    /// Idempotency key of a creation, so that a repeated request creates nothing twice.
    pub idempotency: Option<IdempotencyKey>,
    /// Expiry of the credential in use: no credential made with it lasts longer.
    pub until: Option<Micros>,
}

/// An actor: a person, a machine or a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Kind of actor.
    pub kind: ActorKind,
    /// The subject of a person's token, the id of an admin key, the user on the command line, the
    /// program.
    pub name: String,
    /// Address that the request came from, if it came over the network.
    pub address: Option<IpAddr>,
    /// Id of the request in logs.
    pub request_id: Option<String>,
}

/// The creator of a key, as far as the reader may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creator {
    /// Kind of actor.
    pub kind: ActorKind,
    /// Name of the creator; none for readers below it.
    pub name: Option<String>,
    /// Tenant at which the creator's role is held. None: above every tenant, not recorded, or
    /// hidden from readers below.
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
    /// Somebody who signed in by a link that was made for them.
    LinkUser,
    /// Whoever sets up the first tenant.
    Bootstrap,
}

/// The part of the tree that exists for an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// A tenant and everybody below it; the rest is as if it were not there.
    Subtree(TenantId),
}

/// The key and fingerprint under which a creation is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Key that the client sent. Each actor has keys of its own.
    pub key: String,
    /// Digest of the request, which tells it from another under the same key.
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
            Self::LinkUser => "link_user",
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
        [Self::Program, Self::Operator, Self::Person, Self::AdminKey, Self::LinkUser, Self::Bootstrap]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| {
                UnknownWord::new("kind of actor", "program, operator, person, admin_key, link_user, bootstrap", word)
            })
    }
}
