//! Members: people of a tenant who sign in to the portal by mail.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{admin::Role, mail::MailAddress, member::Member};

/// A person of a tenant who may sign in to the portal by mail.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Member)]
pub struct MemberDocument {
    /// The address that sign-in links are sent to.
    #[schema(value_type = String, format = Email, example = "anna@acme.example")]
    pub address: MailAddress,
    /// The role at the tenant: `viewer`, `billing` or `admin`.
    pub role: Role,
}

/// All members of a tenant, in place of those before.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Members)]
pub struct MembersBody {
    /// The members.
    #[schema(max_items = 100)]
    pub members: Vec<MemberDocument>,
}

/// Somebody who asks for a link into the portal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailedLink)]
pub struct MailedLinkBody {
    /// The address that the link is sent to, if it is a member of a tenant.
    #[schema(value_type = String, format = Email, example = "anna@acme.example")]
    pub address: MailAddress,
}

/// The answer, which is the same for every address.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = MailedLinkAccepted)]
pub struct MailedLinkDocument {
    /// Minutes within which a link works, counted from when its mail is sent.
    pub minutes: i64,
}

impl From<Member> for MemberDocument {
    fn from(Member { address, role }: Member) -> Self {
        Self { address, role }
    }
}

impl From<MemberDocument> for Member {
    fn from(MemberDocument { address, role }: MemberDocument) -> Self {
        Self { address, role }
    }
}
