//! Simulations: past usage by another plan.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FailedBillDocument;
use crate::{
    api::money::AmountDocument,
    id::TenantId,
    plan::{Plan, PlanId},
    time::Period,
};

/// A plan to try on past usage. Nothing is stored.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSimulation)]
pub struct NewSimulationBody {
    /// The plan, as `config/plans.yaml` states it.
    #[schema(value_type = crate::api::plan::PlanDocument)]
    pub plan: Plan,
    /// The plan that it stands in for; the one of its own name unless stated.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "growth")]
    pub in_place_of: Option<PlanId>,
    /// First month, on each payer's own clock.
    #[schema(value_type = String, example = "2026-08")]
    pub from: Period,
    /// Last month; the first unless stated, and at most 12 months in all.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2026-10")]
    pub to: Option<Period>,
    /// Only this tenant.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantId>,
}

/// Bills of the tenants that have the plan, as they are and as they would be, without tax.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Simulation)]
pub struct SimulationDocument {
    /// The bills, by month.
    pub bills: Vec<SimulatedBillDocument>,
    /// Tenants that could not be rated by the plan.
    pub failed: Vec<FailedBillDocument>,
}

/// A bill of a month, as it is and as it would be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SimulatedBill)]
pub struct SimulatedBillDocument {
    /// The month on the tenant's clock.
    #[schema(value_type = String, example = "2026-08")]
    pub period: Period,
    /// The tenant.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: String,
    /// The currency now.
    #[schema(example = "USD")]
    pub currency: String,
    /// Sum of the lines by the plan as it is.
    pub now: AmountDocument,
    /// The currency of the other plan.
    #[schema(example = "USD")]
    pub then_currency: String,
    /// Sum of the lines by the other plan.
    pub then: AmountDocument,
}
