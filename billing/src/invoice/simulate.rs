//! Simulation: the cost of past usage by other plans.

use common::{
    id::TenantId,
    money::Money,
    plan::{Plan, PlanId},
    store::Store,
    time::Period,
};
use serde::Serialize;

use super::{
    FailedDraft, Invoice, InvoiceError, PeriodChoice,
    draft::{Supposed, draft, draft_as_if},
};

/// Most months of a simulation.
pub const MONTHS_MAX: usize = 36;

/// A bill of a month, as it is and as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The month.
    pub period: Period,
    /// The tenant.
    pub tenant: TenantId,
    /// Name for people.
    pub tenant_name: String,
    /// The plan that rates the month.
    pub plan: PlanId,
    /// Its total without tax, by the plan as it is.
    pub now: Money,
    /// Its total without tax, by the other plan.
    pub then: Money,
}

/// Bills that would change, and those that could not be computed.
#[derive(Debug, Default)]
pub struct Simulation {
    /// By month and the tenants' creation.
    pub bills: Vec<Simulated>,
    /// Tenants that could not be rated by the other plans, with the reason.
    pub failed: Vec<FailedDraft>,
}

/// A bill as JSON.
#[derive(Serialize)]
struct SimulatedJson<'a> {
    period: Period,
    tenant: TenantId,
    name: &'a str,
    plan: &'a PlanId,
    currency: &'static str,
    now: String,
    now_minor: i64,
    then_currency: &'static str,
    then: String,
    then_minor: i64,
}

#[derive(Serialize)]
struct SimulationJson<'a> {
    bills: Vec<SimulatedJson<'a>>,
    failed: Vec<FailedJson<'a>>,
}

#[derive(Serialize)]
struct FailedJson<'a> {
    tenant: TenantId,
    name: &'a str,
    reason: &'a str,
}

/// Rates the usage of months by `plans` in place of those that have the same names, and compares.
/// Bills that no such plan rates are left out.
pub async fn simulate(
    store: &Store,
    plans: &[Plan],
    periods: &[Period],
    only: Option<TenantId>,
) -> Result<Simulation, InvoiceError> {
    let mut simulation = Simulation::default();
    for period in periods {
        let choice = PeriodChoice::Named(*period);
        let now = draft(store, choice, only).await?;
        let supposed = Supposed { plans: plans.to_vec(), ..Supposed::default() };
        let then = draft_as_if(store, choice, only, supposed).await?;
        let is_concerned = |invoice: &&Invoice| plans.iter().any(|plan| plan.id == invoice.plan);
        for before in now.invoices.iter().filter(is_concerned) {
            let same = |after: &&Invoice| (after.tenant, after.issuer) == (before.tenant, before.issuer);
            let Some(after) = then.invoices.iter().find(same) else { continue };
            simulation.bills.push(Simulated {
                period: *period,
                tenant: before.tenant,
                tenant_name: before.tenant_name.clone(),
                plan: before.plan.clone(),
                now: before.total,
                then: after.total,
            });
        }
        simulation.failed.extend(then.failed);
    }
    Ok(simulation)
}

impl Simulation {
    /// The simulation as one JSON document.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&SimulationJson {
            bills: self.bills.iter().map(SimulatedJson::from).collect(),
            failed: self.failed.iter().map(FailedJson::from).collect(),
        })
    }
}

impl<'a> From<&'a Simulated> for SimulatedJson<'a> {
    fn from(one: &'a Simulated) -> Self {
        Self {
            period: one.period,
            tenant: one.tenant,
            name: &one.tenant_name,
            plan: &one.plan,
            currency: one.now.currency().code(),
            now: one.now.digits(),
            now_minor: one.now.minor(),
            then_currency: one.then.currency().code(),
            then: one.then.digits(),
            then_minor: one.then.minor(),
        }
    }
}

impl<'a> From<&'a FailedDraft> for FailedJson<'a> {
    fn from(failed: &'a FailedDraft) -> Self {
        Self { tenant: failed.tenant, name: &failed.tenant_name, reason: &failed.reason }
    }
}
