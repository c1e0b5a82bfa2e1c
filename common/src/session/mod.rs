//! Sessions: people in a browser, who have signed in with an admin key, with a token of the identity
//! provider, or by a link that somebody with a role above made for them.
//!
//! Invariants: the secret of a session is made as it begins and never before, so that nobody can
//! fix it; a link is redeemed once; a session ends with the admin key that it acts as or that made
//! its link, at its expiry, or after a time without use. Sessions that have ended are deleted.

mod begin;
mod end;
mod rows;
mod secret;

use std::{fmt, str::FromStr};

pub use begin::{NewLink, NewSession};
pub(crate) use end::end_all;
pub use secret::{SessionSecret, SessionSecretError, SessionSecretKind};
use serde::{Deserialize, Serialize};

use crate::{
    admin::Role,
    id::{AdminKeyId, SessionId, TenantId},
    time::Micros,
    word::UnknownWord,
};

/// The pages that a session is for. A browser may be signed in to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum App {
    /// Pages for operators and resellers.
    Console,
    /// Pages for customers.
    Portal,
}

/// The way in which a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionSource {
    /// With an admin key, as which the session acts.
    AdminKey,
    /// With a token of the identity provider.
    Person,
    /// By a sign-in link.
    Link,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// The pages that it is for.
    pub app: App,
    /// The way in which it began.
    pub source: SessionSource,
    /// The tenant at which the role is held.
    pub tenant: TenantId,
    /// The role. Of a session that acts as an admin key, the key's own counts.
    pub role: Role,
    /// The id of the admin key, the subject of the token, or the name that the link was made for.
    pub user: String,
    /// The admin key that it acts as, or that made its link.
    pub admin_key: Option<AdminKeyId>,
    /// The tenant of the role with which its link was made.
    pub maker_tenant: Option<TenantId>,
    /// Time of the sign-in, or at which the link was made.
    pub created_at: Micros,
    /// From this instant on it is refused.
    pub expires_at: Micros,
    /// The minute in which it was last used.
    pub used_at: Micros,
}

impl App {
    /// The word in the store, in documents and in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Portal => "portal",
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for App {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = [Self::Console, Self::Portal].into_iter().find(|app| app.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("app", "console, portal", word))
    }
}

impl SessionSource {
    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AdminKey => "admin_key",
            Self::Person => "person",
            Self::Link => "link",
        }
    }
}

impl FromStr for SessionSource {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = [Self::AdminKey, Self::Person, Self::Link].into_iter().find(|source| source.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("source of a session", "admin_key, person, link", word))
    }
}
