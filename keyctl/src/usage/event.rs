//! `keyctl usage record`, `amend`, `revert` and `events`: usage that is reported as events, and its
//! corrections.

use clap::Args;
use common::{
    api::usage_event::{UsageEventResultDocument, UsageEventRowDocument, UsageEventStateDocument, UsageEventStatus},
    id::TenantId,
    key::Mode,
    time::Micros,
    usage::event::{EventCorrection, EventName, UsageEvent},
};
use ulid::Ulid;

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View},
    words::word_of,
};

pub(super) const RECORD_HELP: &str = "\
The usage counts as that of gateways does: in reports, in quotas and on the bill. With --source and --id, a repeated \
command records once. Usage of a month that has ended is marked as backfill.

Examples:
  keyctl usage record --tenant ten_01jd0000000000000000000001 --meter tokens --units 1200
  keyctl usage record --tenant ten_01jd0000000000000000000001 --meter tokens --source jobs --id 17
  keyctl usage record --tenant ten_01jd0000000000000000000001 --meter rows --time 2026-11-22T01:30Z";

pub(super) const AMEND_HELP: &str = "\
The event stays as it was recorded, and the difference counts in the same hour. `keyctl usage events` shows both.

Examples:
  keyctl usage amend --tenant ten_01jd0000000000000000000001 --id 17 --units 900 --reason slip";

pub(super) const REVERT_HELP: &str = "\
The event does not count any more; its record stays. An event that is reverted cannot be amended: record the usage as \
another event.

Examples:
  keyctl usage revert --tenant ten_01jd0000000000000000000001 --id 17 --reason 'a test'";

pub(super) const EVENTS_HELP: &str = "\
Events and corrections in the order in which they were recorded.

Examples:
  keyctl usage events --tenant ten_01jd0000000000000000000001";

/// The source of events unless one is given.
const SOURCE: &str = "keyctl";

/// The arguments of `keyctl usage record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Tenant that used it
    #[arg(long)]
    tenant: TenantId,

    /// Meter that is counted
    #[arg(long)]
    meter: String,

    /// Units used
    #[arg(long, value_name = "N", default_value = "1")]
    units: u64,

    /// System that the event comes from
    #[arg(long, value_name = "TEXT", default_value = SOURCE)]
    source: String,

    /// Id of the event in its source; generated if left out
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,

    /// Time of use; now if left out
    #[arg(long, value_name = "TIME")]
    time: Option<Micros>,

    /// Usage of a test: counted, and never billed
    #[arg(long)]
    test: bool,
}

/// The event that a correction is about.
#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// Tenant that used it
    #[arg(long)]
    tenant: TenantId,

    /// System that the event comes from
    #[arg(long, value_name = "TEXT", default_value = SOURCE)]
    source: String,

    /// Id of the event in its source
    #[arg(long, value_name = "TEXT")]
    id: String,

    /// Reason, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// The arguments of `keyctl usage amend`.
#[derive(Debug, Args)]
pub(crate) struct AmendArgs {
    #[command(flatten)]
    event: EventArgs,

    /// Units that were used in truth
    #[arg(long, value_name = "N")]
    units: u64,
}

/// The arguments of `keyctl usage events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Tenant whose events are listed
    #[arg(long)]
    tenant: TenantId,
}

pub(super) async fn record(arguments: RecordArgs, context: &Context) -> Result<(), Failure> {
    let RecordArgs { tenant, meter, units, source, id, time, test } = arguments;
    let id = id.unwrap_or_else(|| Ulid::generate().to_string().to_ascii_lowercase());
    let mode = if test { Mode::Test } else { Mode::Live };
    let event = UsageEvent { tenant, source, id, at: time, meter, units, mode };
    context.output.show(&context.backend.record_event(&event).await?)
}

pub(super) async fn amend(arguments: AmendArgs, context: &Context) -> Result<(), Failure> {
    let AmendArgs { event, units } = arguments;
    correct(event, Some(units), context).await
}

pub(super) async fn revert(arguments: EventArgs, context: &Context) -> Result<(), Failure> {
    let question = async || Ok(format!("Take the usage of event {} off {}?", arguments.id, arguments.tenant));
    context.confirm(question).await?;
    correct(arguments, None, context).await
}

pub(super) async fn list(arguments: EventsArgs, context: &Context) -> Result<(), Failure> {
    context.output.show(&context.backend.usage_events(arguments.tenant).await?)
}

async fn correct(event: EventArgs, units: Option<u64>, context: &Context) -> Result<(), Failure> {
    let EventArgs { tenant, source, id, reason } = event;
    let correction = EventCorrection { event: EventName { tenant, source, id }, units, reason };
    context.output.show(&context.backend.correct_event(&correction).await?)
}

impl View for UsageEventResultDocument {
    fn table(&self) -> Rows {
        let status = match (self.status, self.backfill) {
            (UsageEventStatus::Booked, true) => "booked, into a month that has ended",
            (UsageEventStatus::Booked, false) => "booked",
            (UsageEventStatus::Duplicate, _) => "booked before",
            (UsageEventStatus::Refused, _) => "refused",
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Rows::properties([("source", text(&self.source)), ("id", text(&self.id)), ("status", status.to_owned())])
    }
}

impl View for UsageEventStateDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("tenant", self.subject.to_string()),
            ("source", self.source.clone()),
            ("id", self.id.clone()),
            ("time", self.time.to_string()),
            ("meter", self.meter.clone()),
            ("units", self.units.to_string()),
            ("reverted", if self.reverted { "yes" } else { "no" }.to_owned()),
            ("corrections", self.corrections.to_string()),
        ])
    }
}

impl ListRow for UsageEventRowDocument {
    const COLUMNS: &'static [&'static str] =
        &["BOOKED", "KIND", "SOURCE", "ID", "TIME", "METER", "UNITS", "BACKFILL", "REASON"];
    const DROPPABLE: &'static [&'static str] = &["BOOKED", "BACKFILL", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.booked_at.to_string(),
            word_of(&self.kind),
            self.source.clone(),
            self.id.clone(),
            self.time.to_string(),
            self.meter.clone(),
            self.units.to_string(),
            if self.backfill { "yes" } else { "no" }.to_owned(),
            self.reason.clone().unwrap_or_default(),
        ]
    }
}
