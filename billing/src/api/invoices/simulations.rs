//! `POST /v1/plan-simulations`: what past usage would cost by another plan.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::{
        invoice::{NewSimulationBody, SimulatedBillDocument, SimulationDocument},
        problem::ProblemCode,
    },
    time::Period,
};

use super::runs::{aside, failed, problem};
use crate::{
    access::Caller,
    api::{body::Body, books::require_only_root, services::Services},
    invoice::{Simulated, simulate},
    problem::Problem,
};

/// Most months of a simulation that somebody waits for; `billing simulate` does more.
const MONTHS_MAX: usize = 12;

/// Simulate a plan
///
/// Rates the usage of past months twice: by the plans as they are, and by this plan in place of the one
/// that it stands in for. Nothing is stored. Open to the root of an installation with one root.
#[utoipa::path(
    post,
    operation_id = "simulate",
    path = "/v1/plan-simulations",
    tag = "plans",
    request_body = NewSimulationBody,
    responses((status = 200, description = "Bills of the tenants that have the plan", body = SimulationDocument)),
)]
pub(in crate::api) async fn run(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Body(NewSimulationBody { mut plan, in_place_of, from, to, tenant }): Body<NewSimulationBody>,
) -> Result<Json<SimulationDocument>, Problem> {
    require_only_root(&services, &caller).await?;
    if let Some(tenant) = tenant {
        caller.store().tenant(tenant).await?;
    }
    if let Some(other) = in_place_of {
        plan.id = other;
    }
    let periods = periods(from, to.unwrap_or(from))?;
    let store = services.store.clone();
    let simulation = aside(async move { simulate(&store, &[plan], &periods, tenant).await }).await?;
    let simulation = simulation.map_err(problem)?;
    Ok(Json(SimulationDocument {
        bills: simulation.bills.into_iter().map(bill).collect(),
        failed: simulation.failed.into_iter().map(failed).collect(),
    }))
}

fn periods(from: Period, to: Period) -> Result<Vec<Period>, Problem> {
    let refuse = |detail: &str| Problem::new(ProblemCode::Refused, detail);
    if to < from {
        return Err(refuse("to: is before `from`"));
    }
    let months = std::iter::successors(Some(from), |period| Some(period.next()));
    let periods: Vec<_> = months.take_while(|period| *period <= to).take(MONTHS_MAX + 1).collect();
    if periods.len() > MONTHS_MAX {
        return Err(refuse("to: a simulation has at most 12 months"));
    }
    Ok(periods)
}

fn bill(bill: Simulated) -> SimulatedBillDocument {
    SimulatedBillDocument {
        period: bill.period,
        tenant: bill.tenant,
        tenant_name: bill.tenant_name,
        currency: bill.now.currency().code().into(),
        now: bill.now.into(),
        then_currency: bill.then.currency().code().into(),
        then: bill.then.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_a_simulation_are_in_order_and_few() {
        let month = |text: &str| text.parse::<Period>().unwrap();
        let found = periods(month("2026-11"), month("2027-01")).unwrap();
        assert_eq!(found, [month("2026-11"), month("2026-12"), month("2027-01")]);
        assert_eq!(periods(month("2026-01"), month("2026-12")).unwrap().len(), 12);
        assert!(periods(month("2026-01"), month("2027-01")).is_err());
        assert!(periods(month("2026-02"), month("2026-01")).is_err());
        assert!(periods(month("2000-01"), month("2090-12")).is_err());
    }
}
