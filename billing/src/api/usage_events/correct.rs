//! Corrections of events: other units, or none at all.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    api::usage_event::{AmendEventBody, RevertEventBody, UsageEventStateDocument},
    usage::event::{EventCorrection, EventName},
};

use crate::{
    access::Unplaced,
    api::{body::Body, services::Services},
    problem::Problem,
};

/// Give a usage event other units
///
/// The event stays as it was booked, and the difference is booked as a further row. The same
/// correction again changes nothing. An event that was reverted cannot be amended.
#[utoipa::path(
    post,
    path = "/v1/usage/events/amend",
    tag = "usage",
    request_body = AmendEventBody,
    responses((status = 200, description = "The event as it counts now", body = UsageEventStateDocument)),
)]
pub(crate) async fn amend(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    Body(body): Body<AmendEventBody>,
) -> Result<Json<UsageEventStateDocument>, Problem> {
    let AmendEventBody { subject, source, id, units, reason } = body;
    let event = EventName { tenant: subject, source, id };
    correct(&services, unplaced, EventCorrection { event, units: Some(units), reason }).await
}

/// Revert a usage event
///
/// The event does not count any more; it stays as it was booked, with a further row that takes its
/// units off. The same again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/usage/events/revert",
    tag = "usage",
    request_body = RevertEventBody,
    responses((status = 200, description = "The event, which does not count", body = UsageEventStateDocument)),
)]
pub(crate) async fn revert(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    Body(body): Body<RevertEventBody>,
) -> Result<Json<UsageEventStateDocument>, Problem> {
    let RevertEventBody { subject, source, id, reason } = body;
    let event = EventName { tenant: subject, source, id };
    correct(&services, unplaced, EventCorrection { event, units: None, reason }).await
}

async fn correct(
    services: &Services,
    unplaced: Unplaced,
    correction: EventCorrection,
) -> Result<Json<UsageEventStateDocument>, Problem> {
    let caller = unplaced.at(Some(correction.event.tenant)).await?;
    let state = caller.store().correct_usage_event(&correction, services.clock.now()).await?;
    Ok(Json(state.into()))
}
