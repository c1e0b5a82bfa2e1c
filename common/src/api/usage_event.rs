//! Usage that others report: events in the form of `CloudEvents` 1.0, and their corrections.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{instant::Instant, problem::ProblemCode};
use crate::{
    id::TenantId,
    key::Mode,
    usage::event::{EventRow, EventRowKind, EventState},
};

/// `Content-Type` of one event.
pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json";

/// `Content-Type` of several events.
pub const EVENT_BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// Usage as an event (`CloudEvents` 1.0, structured mode). Extension attributes are accepted and not
/// kept.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageEvent)]
pub struct UsageEventDocument {
    /// `1.0`.
    #[schema(example = "1.0")]
    pub specversion: String,
    /// The event's id in its source, 1 to 255 characters. With `subject` and `source` it names the
    /// event for ever: a repeated event is booked once.
    #[schema(min_length = 1, max_length = 255, example = "order-4711")]
    pub id: String,
    /// The system that the event comes from, 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255, example = "https://shop.example.com/orders")]
    pub source: String,
    /// Kind of event: the meter, unless `data.meter` names it.
    #[schema(min_length = 1, example = "tokens")]
    pub r#type: String,
    /// Id of the tenant that used it.
    #[schema(value_type = String)]
    pub subject: TenantId,
    /// Time of use: at most 5 minutes from now, and at most 730 days ago. The time of arrival unless
    /// stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Instant>,
    /// Meter and units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<UsageEventData>,
}

/// Meter and units of an event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UsageEventData)]
pub struct UsageEventData {
    /// Meter that is counted; the `type` of the event unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$", example = "tokens")]
    pub meter: Option<String>,
    /// Units used, a whole number; 1 unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64, example = 1200)]
    pub units: Option<u64>,
    /// Live, or test: usage in test mode is counted and never billed. Live unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Outcomes of the events of a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageEventResults)]
pub struct UsageEventResultsDocument {
    /// Events that are booked now.
    pub booked: u64,
    /// Events that were booked before.
    pub duplicates: u64,
    /// Events that are not booked.
    pub refused: u64,
    /// The result of each event, in their order.
    pub results: Vec<UsageEventResultDocument>,
}

/// Outcome of one event.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageEventResult)]
pub struct UsageEventResultDocument {
    /// Its id, if it has one.
    #[schema(required = true)]
    pub id: Option<String>,
    /// Its source, if it has one.
    #[schema(required = true)]
    pub source: Option<String>,
    /// Its outcome.
    pub status: UsageEventStatus,
    /// True if it is booked into a month that has ended on its tenant's clock.
    pub backfill: bool,
    /// Time of use with which it is booked.
    #[schema(required = true)]
    pub time: Option<Instant>,
    /// The reason for which it is not booked.
    #[schema(required = true)]
    pub problem: Option<UsageEventProblemDocument>,
}

/// Outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageEventStatus {
    /// It is booked now.
    Booked,
    /// It was booked before; nothing has changed.
    Duplicate,
    /// It is not booked.
    Refused,
}

/// The reason for which an event is not booked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageEventProblem)]
pub struct UsageEventProblemDocument {
    /// The kind of problem for programs.
    pub code: ProblemCode,
    /// The attribute or member with the fault, if one has it.
    #[schema(required = true, example = "data.units")]
    pub field: Option<String>,
    /// The fault, in a sentence.
    pub detail: String,
}

/// Other units for an event that is booked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UsageAmendment)]
pub struct AmendEventBody {
    /// Id of the event's tenant.
    #[schema(value_type = String)]
    pub subject: TenantId,
    /// Source of the event.
    #[schema(min_length = 1, max_length = 255)]
    pub source: String,
    /// Id of the event.
    #[schema(min_length = 1, max_length = 255)]
    pub id: String,
    /// Units that were used in truth.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    pub units: u64,
    /// Reason, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// An event that is not to count any more.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UsageReversal)]
pub struct RevertEventBody {
    /// Id of the event's tenant.
    #[schema(value_type = String)]
    pub subject: TenantId,
    /// Source of the event.
    #[schema(min_length = 1, max_length = 255)]
    pub source: String,
    /// Id of the event.
    #[schema(min_length = 1, max_length = 255)]
    pub id: String,
    /// Reason, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// An event as it counts after its corrections.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageEventState)]
pub struct UsageEventStateDocument {
    /// Id of the tenant that used it.
    #[schema(value_type = String)]
    pub subject: TenantId,
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
    /// Time of use.
    pub time: Instant,
    /// The meter.
    pub meter: String,
    /// Live, or test.
    pub mode: Mode,
    /// Units that count.
    pub units: u64,
    /// True if the event does not count any more.
    pub reverted: bool,
    /// Number of corrections.
    pub corrections: u64,
}

/// An event, or a correction of one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageEventRow)]
pub struct UsageEventRowDocument {
    /// Event or correction.
    pub kind: EventRowKind,
    /// Id of the tenant that used it.
    #[schema(value_type = String)]
    pub subject: TenantId,
    /// Source of the event.
    pub source: String,
    /// Id of the event.
    pub id: String,
    /// Time of use.
    pub time: Instant,
    /// The meter.
    pub meter: String,
    /// Live, or test.
    pub mode: Mode,
    /// Units that it adds; below zero if it takes some off.
    pub units: i64,
    /// True if the event came after its month had ended.
    pub backfill: bool,
    /// Time of booking.
    pub booked_at: Instant,
    /// Reason of a correction.
    #[schema(required = true)]
    pub reason: Option<String>,
}

impl From<EventState> for UsageEventStateDocument {
    fn from(state: EventState) -> Self {
        let EventState { tenant, source, id, at, meter, mode, units, reverted, corrections } = state;
        Self { subject: tenant, source, id, time: at.into(), meter, mode, units, reverted, corrections }
    }
}

impl From<EventRow> for UsageEventRowDocument {
    fn from(row: EventRow) -> Self {
        let EventRow { seq: _, tenant, source, id, kind, at, meter, mode, units, backfill, booked_at, reason } = row;
        let (time, booked_at) = (at.into(), booked_at.into());
        Self { kind, subject: tenant, source, id, time, meter, mode, units, backfill, booked_at, reason }
    }
}
