//! Sessions of people in browsers, and links by which they begin.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    admin::Role,
    id::{SessionId, TenantId},
    session::{App, Session, SessionSource},
};

/// A session. The secret is in the cookie, and in no document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionDocument {
    /// Its id, which is no secret.
    #[schema(value_type = String, example = "sid_01jd0000000000000000000000")]
    pub id: SessionId,
    /// The pages that it is for.
    pub app: App,
    /// The way in which it began.
    pub source: SessionSource,
    /// The tenant at which its role is held.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Its role at the tenant and below.
    pub role: Role,
    /// The id of the admin key, the subject of the token, or the name that the link was made for.
    pub user: String,
    /// Time of the sign-in, or at which its link was made.
    pub created_at: Instant,
    /// It is refused from this instant on.
    pub expires_at: Instant,
    /// Minutes without use after which it is refused.
    #[schema(value_type = i64)]
    pub idle_minutes: u32,
}

/// A sign-in to the console or the portal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSession)]
pub struct NewSessionBody {
    /// The pages to sign in to.
    pub app: App,
}

/// Ways to sign in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignInWays)]
pub struct WaysDocument {
    /// True if people sign in through an identity provider, at `/v1/sessions/oidc`.
    pub identity_provider: bool,
    /// True if members of a tenant get a link into the portal by mail, from `/v1/sessions/mail`.
    #[serde(default)]
    #[schema(required = true)]
    pub mail: bool,
}

/// A sign-in link for a person.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSignInLink)]
pub struct NewLinkBody {
    /// The tenant at which the role of the person is held.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// Name of the person, as in the audit log: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "anna@acme.example")]
    pub user: String,
    /// The role; `admin` unless stated, and at most the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The pages that it leads to; `portal` unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<App>,
}

/// A sign-in link. It is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignInLink)]
pub struct LinkDocument {
    /// The session that it begins.
    pub session: SessionDocument,
    /// The address to lead the person to; it works once.
    #[schema(example = "https://billing.example.com/portal/#link=lnk_...")]
    pub url: String,
    /// It has to be used before this instant.
    pub redeem_before: Instant,
}

/// Sessions that were ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EndedSessions)]
pub struct EndedSessionsDocument {
    /// Their number.
    pub sessions: u64,
}

impl SessionDocument {
    /// The document of a session, which is refused after so many minutes without use.
    pub fn of(session: Session, idle_minutes: u32) -> Self {
        Self {
            id: session.id,
            app: session.app,
            source: session.source,
            tenant: session.tenant,
            role: session.role,
            user: session.user,
            created_at: session.created_at.into(),
            expires_at: session.expires_at.into(),
            idle_minutes,
        }
    }
}
