//! A tenant with the plan it is on.

use common::{
    id::TenantId,
    plan::PlanId,
    tenant::{Tenant, TenantKind, TenantStatus},
    time::Zone,
};
use serde::{Deserialize, Serialize};

use super::Instant;
use crate::output::{ListRow, Rows, View, or_dash};

/// A tenant as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TenantView {
    pub(crate) id: TenantId,
    parent: Option<TenantId>,
    kind: TenantKind,
    pub(crate) name: String,
    status: TenantStatus,
    /// Of its own, and in force.
    #[serde(default)]
    pub(crate) plan: Option<PlanRef>,
    #[serde(alias = "zone")]
    pub(crate) time_zone: Zone,
    created_at: Instant,
}

/// The plan version that a subscription pins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PlanRef {
    pub(crate) id: PlanId,
    pub(crate) version: i64,
}

impl TenantView {
    /// `tenant`, before it is known which plan it has.
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self {
            id: tenant.id,
            parent: tenant.parent,
            kind: tenant.kind,
            name: tenant.name,
            status: tenant.status,
            plan: None,
            time_zone: tenant.zone,
            created_at: Instant(tenant.created_at),
        }
    }

    pub(crate) const fn kind(&self) -> TenantKind {
        self.kind
    }

    fn plan_text(&self) -> String {
        or_dash(self.plan.as_ref().map(|plan| format!("{} v{}", plan.id, plan.version)))
    }
}

impl View for TenantView {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("kind", self.kind.to_string()),
            ("parent", or_dash(self.parent)),
            ("status", self.status.to_string()),
            ("plan", self.plan_text()),
            ("time zone", self.time_zone.to_string()),
            ("created", self.created_at.to_string()),
        ])
    }
}

impl ListRow for TenantView {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "KIND", "PARENT", "STATUS", "PLAN", "TIME ZONE", "CREATED"];
    const DROPPABLE: &'static [&'static str] = &["TIME ZONE", "CREATED", "KIND", "PARENT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.kind.to_string(),
            or_dash(self.parent),
            self.status.to_string(),
            self.plan_text(),
            self.time_zone.to_string(),
            self.created_at.to_string(),
        ]
    }
}
