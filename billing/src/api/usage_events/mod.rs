//! `/v1/usage/events`: usage that others report, and its corrections.

mod cloud_event;
mod correct;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use common::{
    api::{
        page::ListDocument,
        problem::ProblemCode,
        usage_event::{
            EVENT_BATCH_CONTENT_TYPE, EVENT_CONTENT_TYPE, UsageEventDocument, UsageEventProblemDocument,
            UsageEventResultDocument, UsageEventResultsDocument, UsageEventRowDocument, UsageEventStatus,
        },
    },
    id::TenantId,
    store::Store,
    usage::event::{EVENTS_AT_ONCE_MAX, EventFault, EventFaultKind, EventOutcome, UsageEvent},
};
pub(super) use correct::{__path_amend, __path_revert, amend, revert};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use self::cloud_event::Strict;
use super::{
    body, page,
    parameters::{Parameters, from_text},
    services::Services,
};
use crate::{access::Unplaced, problem::Problem};

/// The name of the list of events in cursors.
const LIST: &str = "usage_events";

const JSON_CONTENT_TYPE: &str = "application/json";

/// Record usage as events
///
/// One event (`application/cloudevents+json`), or up to 1,000 (`application/cloudevents-batch+json`); as
/// `application/json`, an object is one event and an array is several. An event is booked once for
/// ever, by its subject, source and id. Each event of several has a result of its own, and one that
/// is refused keeps back none of the others; one event that is refused is answered with the problem.
/// An event of the same name with other content is a conflict: amend the event instead.
#[utoipa::path(
    post,
    path = "/v1/usage/events",
    tag = "usage",
    request_body(
        content(
            (UsageEventDocument = "application/cloudevents+json"),
            (Vec<UsageEventDocument> = "application/cloudevents-batch+json"),
            (UsageEventDocument = "application/json"),
        ),
        description = "One event, or several",
    ),
    responses(
        (status = 200, description = "Every event is booked, now or before", body = UsageEventResultsDocument),
        (status = 207, description = "At least one event of several is not booked", body = UsageEventResultsDocument),
    ),
)]
pub(super) async fn record(
    State(services): State<Arc<Services>>,
    unplaced: Unplaced,
    request: Request,
) -> Result<Response, Problem> {
    let (bytes, media_type) =
        body::read_as(request, &[EVENT_CONTENT_TYPE, EVENT_BATCH_CONTENT_TYPE, JSON_CONTENT_TYPE]).await?;
    let Strict(document) = body::parse(&bytes)?;
    let (events, is_batch) = match document {
        Value::Array(events) if media_type != EVENT_CONTENT_TYPE => (events, true),
        event @ Value::Object(_) if media_type != EVENT_BATCH_CONTENT_TYPE => (vec![event], false),
        _ => {
            let detail = format!("{media_type} has another form: one event is an object, several are an array");
            return Err(Problem::new(ProblemCode::BodyInvalid, detail));
        }
    };
    if events.len() > EVENTS_AT_ONCE_MAX {
        let detail = format!("{} events are too many at once: at most {EVENTS_AT_ONCE_MAX}", events.len());
        return Err(Problem::new(ProblemCode::Refused, detail));
    }
    let outcomes = book(&events, &unplaced, &services).await?;
    if !is_batch && let Some(Err(problem)) = outcomes.first() {
        return Err(Problem::new(problem.code, told(problem)));
    }
    let document = results(&events, outcomes);
    let status = if document.refused == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    Ok((status, Json(document)).into_response())
}

/// Filter of events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventParameters {
    /// Events of this tenant; of the caller's tenant unless stated.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items of the page; 50 unless stated.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// List events of a tenant and their corrections
///
/// In the order in which they were booked: the history of what was reported.
#[utoipa::path(
    get,
    path = "/v1/usage/events",
    operation_id = "list_events",
    tag = "usage",
    params(EventParameters),
    responses((status = 200, description = "A page of events and corrections",
        body = ListDocument<UsageEventRowDocument>)),
)]
pub(super) async fn list(
    caller: crate::access::Caller,
    Parameters(parameters): Parameters<EventParameters>,
) -> Result<Json<ListDocument<UsageEventRowDocument>>, Problem> {
    let EventParameters { tenant, cursor, limit } = parameters;
    let page = page::request(LIST, cursor.as_deref(), limit)?;
    let tenant = tenant.or(caller.principal.tenant).ok_or_else(|| {
        Problem::new(ProblemCode::ParameterInvalid, "tenant: name one, as you are above every tenant")
    })?;
    Ok(Json(page::list(LIST, caller.store().usage_events(tenant, page).await?)))
}

type Outcome = Result<EventOutcome, UsageEventProblemDocument>;

/// Books what can be read and is allowed, and gives the outcome of each event.
async fn book(events: &[Value], unplaced: &Unplaced, services: &Services) -> Result<Vec<Outcome>, Problem> {
    let mut stores: HashMap<TenantId, Result<Store, Problem>> = HashMap::new();
    let mut store = None;
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(events.len());
    let mut allowed: Vec<UsageEvent> = Vec::new();
    for event in events {
        let event = match cloud_event::read(event) {
            Ok(event) => event,
            Err(fault) => {
                outcomes.push(Some(Err(problem_of(fault))));
                continue;
            }
        };
        let of_tenant = match stores.entry(event.tenant) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => {
                let caller = unplaced.clone().at(Some(event.tenant)).await;
                place.insert(temporary_or(caller.map(|caller| caller.store()))?)
            }
        };
        match of_tenant {
            Ok(of_caller) => {
                store = Some(of_caller.clone());
                allowed.push(event);
                outcomes.push(None);
            }
            Err(problem) => {
                let (code, field, detail) = (problem.code(), Some("subject".to_owned()), problem.detail().to_owned());
                outcomes.push(Some(Err(UsageEventProblemDocument { code, field, detail })));
            }
        }
    }
    let booked = match store {
        Some(store) => store.record_usage_events(&allowed, services.clock.now()).await?,
        None => Vec::new(),
    };
    let mut booked = booked.into_iter().map(|outcome| match outcome {
        EventOutcome::Refused(fault) => Err(problem_of(fault)),
        outcome => Ok(outcome),
    });
    Ok(outcomes.into_iter().filter_map(|outcome| outcome.or_else(|| booked.next())).collect())
}

/// A problem of the store or of this side is one of the whole request.
fn temporary_or(store: Result<Store, Problem>) -> Result<Result<Store, Problem>, Problem> {
    match store {
        Err(problem) if matches!(problem.code(), ProblemCode::StoreUnavailable | ProblemCode::Internal) => Err(problem),
        store => Ok(store),
    }
}

fn problem_of(fault: EventFault) -> UsageEventProblemDocument {
    let code = match fault.kind {
        EventFaultKind::Refused => ProblemCode::Refused,
        EventFaultKind::Conflict => ProblemCode::Conflict,
        EventFaultKind::NotFound => ProblemCode::NotFound,
    };
    UsageEventProblemDocument { code, field: Some(fault.field.to_owned()), detail: fault.reason }
}

/// A problem with its field, in a sentence.
fn told(problem: &UsageEventProblemDocument) -> String {
    match &problem.field {
        Some(field) => format!("{field}: {}", problem.detail),
        None => problem.detail.clone(),
    }
}

fn results(events: &[Value], outcomes: Vec<Outcome>) -> UsageEventResultsDocument {
    let mut document = UsageEventResultsDocument { booked: 0, duplicates: 0, refused: 0, results: Vec::new() };
    for (event, outcome) in events.iter().zip(outcomes) {
        let (status, backfill, time, problem) = match outcome {
            Ok(EventOutcome::Booked { at, backfill }) => (UsageEventStatus::Booked, backfill, Some(at.into()), None),
            Ok(EventOutcome::Duplicate) => (UsageEventStatus::Duplicate, false, None, None),
            Ok(EventOutcome::Refused(fault)) => (UsageEventStatus::Refused, false, None, Some(problem_of(fault))),
            Err(problem) => (UsageEventStatus::Refused, false, None, Some(problem)),
        };
        match status {
            UsageEventStatus::Booked => document.booked += 1,
            UsageEventStatus::Duplicate => document.duplicates += 1,
            UsageEventStatus::Refused => document.refused += 1,
        }
        let (id, source) = (cloud_event::told(event, "id"), cloud_event::told(event, "source"));
        document.results.push(UsageEventResultDocument { id, source, status, backfill, time, problem });
    }
    document
}
