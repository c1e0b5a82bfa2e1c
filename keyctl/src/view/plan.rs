//! A plan version: one row in a list, every price and limit when shown by itself.

use common::{
    plan::{Charge, Plan, PlanId, PlanVersion, RateLimits},
    store::{AppliedPlan, PlanOutcome},
};
use serde::Serialize;

use super::Instant;
use crate::output::{ListRow, Rows, View};

/// A plan version as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    version: i64,
    created_at: Instant,
    #[serde(flatten)]
    plan: Plan,
}

/// A plan version as a list shows it; the same JSON.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct PlanRow(PlanView);

/// What applying a plan did.
#[derive(Debug, Serialize)]
pub(crate) struct AppliedView {
    id: PlanId,
    version: i64,
    outcome: PlanOutcome,
}
