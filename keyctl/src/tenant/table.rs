//! Tables of tenants, with the plan that each has of its own.

use common::{
    api::{
        instant::Instant,
        tenant::{TenantDocument, UnpaidDocument},
    },
    id::TenantId,
    tenant::{TenantKind, TenantStatus},
    time::Zone,
};
use serde::Serialize;

use crate::{
    backend::PlanRef,
    output::{ListRow, Rows, View, or_dash},
};

/// A tenant and the plan that it currently has of its own.
#[derive(Debug, Serialize)]
pub(super) struct TenantView {
    id: TenantId,
    parent: Option<TenantId>,
    kind: TenantKind,
    name: String,
    status: TenantStatus,
    plan: Option<PlanRef>,
    time_zone: Zone,
    created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    unpaid: Option<UnpaidDocument>,
}

impl TenantView {
    pub(super) fn new(tenant: TenantDocument, plan: Option<PlanRef>) -> Self {
        let TenantDocument { id, parent, kind, name, status, zone: time_zone, created_at, revision: _, unpaid } =
            tenant;
        Self { id, parent, kind, name, status, plan, time_zone, created_at, unpaid }
    }

    /// The status, or what else has the tenant refused.
    fn status_text(&self) -> String {
        match (self.status, &self.unpaid) {
            (TenantStatus::Active, Some(_)) => "unpaid".into(),
            (status, _) => status.to_string(),
        }
    }

    fn plan_text(&self) -> String {
        or_dash(self.plan.as_ref().map(|plan| format!("{} v{}", plan.id, plan.version)))
    }
}

impl View for TenantView {
    fn table(&self) -> Rows {
        let unpaid = self.unpaid.as_ref().map(|unpaid| unpaid.invoice.to_string());
        let unpaid = unpaid.map(|invoice| ("refused until paid", invoice));
        let properties = [
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("kind", self.kind.to_string()),
            ("parent", or_dash(self.parent)),
            ("status", self.status.to_string()),
            ("plan", self.plan_text()),
            ("time zone", self.time_zone.to_string()),
            ("created", self.created_at.to_string()),
        ];
        Rows::properties(properties.into_iter().chain(unpaid))
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
            self.status_text(),
            self.plan_text(),
            self.time_zone.to_string(),
            self.created_at.to_string(),
        ]
    }
}
