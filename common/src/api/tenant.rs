//! Tenants, as far as they exist for the caller.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::{InvoiceId, TenantId},
    plan::PlanId,
    tenant::{Tenant, TenantKind, TenantStatus},
    time::Zone,
};

/// A tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantDocument {
    /// Its identifier.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub id: TenantId,
    /// The tenant above; only a root has none.
    #[schema(value_type = Option<String>, required = true)]
    pub parent: Option<TenantId>,
    /// Its place in the tree.
    pub kind: TenantKind,
    /// Name for people.
    #[schema(example = "Acme GmbH")]
    pub name: String,
    /// Current status.
    pub status: TenantStatus,
    /// The time zone in which its billing periods start and end. A reader takes a zone that it does
    /// not know as it is.
    #[serde(deserialize_with = "zone_of_any_release")]
    #[schema(value_type = String, example = "Europe/Berlin")]
    pub zone: Zone,
    /// Time of creation.
    pub created_at: Instant,
    /// Counts its changes, from 1; the `ETag` in quotes.
    #[serde(default)]
    #[schema(required = true)]
    pub revision: i64,
    /// The invoice because of which it is refused until that is paid; left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaid: Option<UnpaidDocument>,
}

/// An unpaid invoice because of which a tenant, and everybody below it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = UnpaidInvoice)]
pub struct UnpaidDocument {
    /// The invoice.
    #[schema(value_type = String, example = "inv_01jd0000000000000000000000")]
    pub invoice: InvoiceId,
    /// The address at which it is paid, if the issuer has stated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_at: Option<String>,
}

/// A tenant to be created.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTenant)]
pub struct NewTenantBody {
    /// Name for people: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "Acme GmbH")]
    pub name: String,
    /// The tenant above; none for a root.
    #[schema(value_type = Option<String>, example = "ten_01jd0000000000000000000000")]
    pub parent: Option<TenantId>,
    /// Its place in the tree; `customer` under a parent, `root` without one.
    pub kind: Option<TenantKind>,
    /// The time zone of its billing periods, by its name in the IANA database; `UTC` unless stated.
    /// It never changes.
    #[schema(value_type = Option<String>, example = "Europe/Berlin")]
    pub zone: Option<Zone>,
    /// A plan to start with, in its latest version; without one, the nearest plan above counts.
    #[schema(value_type = Option<String>, example = "growth")]
    pub plan: Option<PlanId>,
}

/// Changes of a tenant; a member that is left out stays as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantUpdate)]
pub struct TenantUpdateBody {
    /// Name for people: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
}

/// The new place of a tenant in the tree.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantMove)]
pub struct TenantMoveBody {
    /// The tenant right above it from now on.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub parent: TenantId,
}

impl From<Tenant> for TenantDocument {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, parent, kind, name, status, zone, created_at, revision, unpaid } = tenant;
        let unpaid = unpaid.map(|unpaid| UnpaidDocument { invoice: unpaid.invoice, pay_at: unpaid.pay_at });
        Self { id, parent, kind, name, status, zone, created_at: created_at.into(), revision, unpaid }
    }
}

/// Reads a zone that a newer release of the IANA database may have added.
fn zone_of_any_release<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
    Ok(Zone::stored(&String::deserialize(deserializer)?))
}
