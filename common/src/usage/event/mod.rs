//! Usage that others report: events with an id of their own, and their corrections.
//!
//! Invariants: an event is booked once for ever, by its tenant, source and id; what is booked never
//! changes, and a correction is a further row; the rows of an event sum to no less than zero, and
//! all count in the same rollup, which changes in the transaction that writes the row.

mod correct;
mod record;
mod rows;

use serde::Serialize;

use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    plan::validate_meter,
    store::StoreError,
    time::Micros,
};

/// Most events that are recorded at once.
pub const EVENTS_AT_ONCE_MAX: usize = 1_000;

/// Most units of one event.
pub const EVENT_UNITS_MAX: u64 = 1_000_000_000_000_000;

/// Longest source and longest id of an event, in characters.
pub const EVENT_NAME_MAX_CHARS: usize = 255;

/// Days before now of which usage may still be reported.
pub const BACKFILL_DAYS_MAX: i64 = 730;

/// Seconds that the clock of a reporter may be ahead.
const AHEAD_SECONDS: i64 = 300;

const DAY_SECONDS: i64 = 86_400;

/// The route of all events in rollups and reports.
pub const EVENT_ROUTE: &str = "events";

/// The key of all events in rollups and reports: usage that no API key made.
pub const EVENT_KEY: KeyId = KeyId::from_u128(0);

/// Usage that somebody reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// Tenant that used it.
    pub tenant: TenantId,
    /// The system that the event comes from.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// Time of use; the time of arrival if none is stated.
    pub at: Option<Micros>,
    /// Meter that is counted.
    pub meter: String,
    /// Units used.
    pub units: u64,
    /// Live, or test: usage in test mode is never billed.
    pub mode: Mode,
}

/// The name of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventName {
    /// Tenant that used it.
    pub tenant: TenantId,
    /// The system that the event comes from.
    pub source: String,
    /// Its id there.
    pub id: String,
}

/// Outcome of one event of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// It is booked now.
    Booked {
        /// Time of use.
        at: Micros,
        /// True if it is of a month that has ended on its tenant's clock.
        backfill: bool,
    },
    /// The same event was booked before; nothing has changed.
    Duplicate,
    /// It is not booked.
    Refused(EventFault),
}

/// The reason for which an event is not booked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct EventFault {
    /// The attribute or member with the fault.
    pub field: &'static str,
    /// Kind of fault.
    pub kind: EventFaultKind,
    /// The fault in words.
    pub reason: String,
}

/// Kind of a fault of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFaultKind {
    /// It breaks a rule.
    Refused,
    /// It contradicts what is booked.
    Conflict,
    /// There is no such tenant for whoever reports it.
    NotFound,
}

/// A correction of an event that is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCorrection {
    /// The event.
    pub event: EventName,
    /// Units that were used in truth; none: the event is reverted, as if there had been no use.
    pub units: Option<u64>,
    /// Reason, for the audit log.
    pub reason: String,
}

/// An event with the sum of its corrections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventState {
    /// Tenant that used it.
    pub tenant: TenantId,
    /// The system that the event comes from.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// Time of use.
    pub at: Micros,
    /// Meter that is counted.
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

/// A row of an event: the event itself, or a correction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// Its number, in the order of booking.
    pub seq: i64,
    /// Tenant that used it.
    pub tenant: TenantId,
    /// The system that the event comes from.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// The kind of row.
    pub kind: EventRowKind,
    /// Time of use.
    pub at: Micros,
    /// Meter that is counted.
    pub meter: String,
    /// Live, or test.
    pub mode: Mode,
    /// Units that it adds; below zero if it takes some off.
    pub units: i64,
    /// True if the event is of a month that had ended when it came.
    pub backfill: bool,
    /// Time of booking.
    pub booked_at: Micros,
    /// Reason of a correction.
    pub reason: Option<String>,
}

/// Kind of a row of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum EventRowKind {
    /// The event itself.
    Record,
    /// Its units are others.
    Amend,
    /// It does not count any more.
    Revert,
}

impl EventRowKind {
    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Amend => "amend",
            Self::Revert => "revert",
        }
    }
}

impl std::str::FromStr for EventRowKind {
    type Err = crate::word::UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Record, Self::Amend, Self::Revert].into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| crate::word::UnknownWord::new("row of an event", "record, amend, revert", word))
    }
}

impl EventFault {
    /// A fault of a rule.
    pub fn refused(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, kind: EventFaultKind::Refused, reason: reason.into() }
    }

    fn conflict(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, kind: EventFaultKind::Conflict, reason: reason.into() }
    }
}

impl From<EventFault> for StoreError {
    fn from(fault: EventFault) -> Self {
        match fault.kind {
            EventFaultKind::Refused => Self::Refused(fault.to_string()),
            EventFaultKind::Conflict => Self::Conflict(fault.to_string()),
            EventFaultKind::NotFound => Self::not_found("tenant", &fault.reason.trim_start_matches("no tenant ")),
        }
    }
}

impl EventName {
    /// Checks what the store can hold as a name.
    pub fn validate(&self) -> Result<(), EventFault> {
        validate_text("source", &self.source)?;
        validate_text("id", &self.id)
    }
}

impl UsageEvent {
    /// Its name.
    pub fn name(&self) -> EventName {
        EventName { tenant: self.tenant, source: self.source.clone(), id: self.id.clone() }
    }

    /// Checks it by itself, as of `now`.
    pub fn validate(&self, now: Micros) -> Result<(), EventFault> {
        validate_text("source", &self.source)?;
        validate_text("id", &self.id)?;
        if let Some(at) = self.at {
            if at > now.plus_seconds(AHEAD_SECONDS) {
                let reason = format!("{at} is in the future; usage is reported once it has happened");
                return Err(EventFault::refused("time", reason));
            }
            if at < now.plus_seconds(-BACKFILL_DAYS_MAX * DAY_SECONDS) {
                let reason = format!("{at} is more than {BACKFILL_DAYS_MAX} days ago");
                return Err(EventFault::refused("time", reason));
            }
        }
        validate_meter(&self.meter).map_err(|error| EventFault::refused("data.meter", error.to_string()))?;
        validate_units("data.units", self.units)
    }
}

fn validate_units(field: &'static str, units: u64) -> Result<(), EventFault> {
    if units <= EVENT_UNITS_MAX {
        return Ok(());
    }
    Err(EventFault::refused(field, format!("{units} is more than {EVENT_UNITS_MAX}, the most units of one event")))
}

fn validate_text(field: &'static str, text: &str) -> Result<(), EventFault> {
    let length = text.chars().count();
    if (1..=EVENT_NAME_MAX_CHARS).contains(&length) && !text.contains(char::is_control) {
        return Ok(());
    }
    let reason = format!("must have 1 to {EVENT_NAME_MAX_CHARS} characters, none of them a control character");
    Err(EventFault::refused(field, reason))
}
