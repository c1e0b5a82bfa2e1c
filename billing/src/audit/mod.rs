//! The state of the books: what was acknowledged = what is stored = what is summed up, and what is still open.
//!
//! The store compares; here its findings are put together with what it cannot judge alone: gaps, dead letters, and
//! usage of tenants that nobody knows.

mod kafka;
mod table;

use std::collections::HashSet;

use common::{
    id::TenantId,
    store::{Store, StoreError},
    time::{Period, TimeError, Window, Zone},
    usage::{
        gaps::UsageGap,
        lives::LostLife,
        reconcile::{Breach, PeriodReconciliation, StreamReconciliation, Tally},
    },
};
pub use kafka::{KafkaBacklog, kafka_backlog};
use serde::Serialize;
pub use table::to_table;

/// Why the books could not be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store did not give what is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The period has no borders.
    #[error("period {period}: {source}")]
    Period {
        /// The period.
        period: Period,
        /// What is wrong with it.
        source: TimeError,
    },
}

/// All that an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is wrong and nothing is open, of what is booked.
    pub clean: bool,
    /// Usage that lies in Kafka and is not booked yet; absent if usage does not come through Kafka.
    pub kafka: Option<KafkaBacklog>,
    /// The period that was looked at; all if none.
    pub period: Option<Period>,
    /// Per stream: acknowledged, booked, void, lost, recorded, missing.
    pub streams: Vec<StreamReconciliation>,
    /// Per tenant and month: recorded, summed up.
    pub periods: Vec<PeriodReconciliation>,
    /// Every equality that does not hold.
    pub breaches: Vec<BreachReport>,
    /// Numbers of streams whose entries have not come: skipped, or lost.
    pub open_gaps: Vec<UsageGap>,
    /// The same, of which somebody has declared that they will never come.
    pub settled_gaps: Vec<UsageGap>,
    /// Lives of gateways whose journals are gone: nobody knows what was in them.
    pub lost_lives: Vec<LostLife>,
    /// The same, of which somebody has accepted it.
    pub settled_lives: Vec<LostLife>,
    /// Messages that could not be booked and that nobody has resolved.
    pub dead_letters: u64,
    /// Usage that was set aside and that nobody has looked at.
    pub quarantined: u64,
    /// Usage of tenants that the store does not know: stored, on no invoice.
    pub unknown_tenants: Vec<UnknownTenant>,
    /// Records whose day has no partition; retention does not reach them.
    pub unpartitioned: u64,
}

/// An equality that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreachReport {
    /// In words.
    pub text: String,
    /// For programs.
    #[serde(flatten)]
    pub breach: Breach,
}

/// Usage of a tenant that the store does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UnknownTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The month, on the clocks of UTC.
    pub period: Period,
    /// How much.
    pub usage: Tally,
}

/// Audits the books, or one month of them on each tenant's own clock.
pub async fn audit(store: &Store, period: Option<Period>) -> Result<Report, AuditError> {
    let window = period.map(everywhere).transpose()?;
    let mut audit = store.reconcile(window).await?;
    // The window holds a day more at either end, for the clocks of all zones.
    audit.periods.retain(|audited| period.is_none_or(|period| audited.period == period));
    let known: HashSet<_> = store.tenants().await?.into_iter().map(|tenant| tenant.id).collect();
    let unknown_tenants = audit
        .periods
        .iter()
        .filter(|audited| !known.contains(&audited.tenant))
        .map(|audited| UnknownTenant { tenant: audited.tenant, period: audited.period, usage: audited.rolled_up })
        .collect();
    let (settled_gaps, open_gaps) = store.usage_gaps().await?.into_iter().partition(|gap| gap.accepted.is_some());
    let (settled_lives, lost_lives) = store.lost_lives().await?.into_iter().partition(|life| life.accepted.is_some());
    let breaches = audit.breaches.into_iter().map(|breach| BreachReport { text: breach.to_string(), breach });
    let mut report = Report {
        clean: false,
        kafka: None,
        period,
        streams: audit.streams,
        periods: audit.periods,
        breaches: breaches.collect(),
        open_gaps,
        settled_gaps,
        lost_lives,
        settled_lives,
        dead_letters: store.dead_letter_count().await?,
        quarantined: store.quarantine_count().await?,
        unknown_tenants,
        unpartitioned: audit.unpartitioned,
    };
    report.clean = report.faults().is_empty();
    Ok(report)
}

impl Report {
    /// What the books do not cover yet: usage in Kafka that is not booked, in words. None if they cover all usage that
    /// was handed over.
    pub fn incomplete(&self) -> Option<String> {
        let kafka = self.kafka.as_ref()?;
        match (&kafka.unknown, kafka.messages) {
            (Some(reason), _) => Some(format!("how much lies in Kafka is not known: {reason}")),
            (None, Some(0) | None) => None,
            (None, Some(messages)) => {
                Some(format!("{messages} messages of the topic {} in Kafka are not booked yet", kafka.topic))
            }
        }
    }

    /// What is not in order, in words; nothing if all is. Settled gaps, usage of unknown tenants and records without a
    /// partition are worth a look, and no fault of the books.
    pub fn faults(&self) -> Vec<String> {
        let missing: u64 = self.open_gaps.iter().map(|gap| gap.to.saturating_sub(gap.from)).sum();
        let mut faults = Vec::new();
        if !self.breaches.is_empty() {
            faults.push(format!("{} equalities do not hold", self.breaches.len()));
        }
        if !self.open_gaps.is_empty() {
            faults.push(format!("{missing} entries are missing in {} open gaps", self.open_gaps.len()));
        }
        if !self.lost_lives.is_empty() {
            faults.push(format!("{} lives of gateways are gone with their journals", self.lost_lives.len()));
        }
        if self.dead_letters > 0 {
            faults.push(format!("{} dead letters are not resolved", self.dead_letters));
        }
        if self.quarantined > 0 {
            faults.push(format!("{} entries are in quarantine", self.quarantined));
        }
        faults
    }
}

/// The instants of a month on any clock: from its first in the east to its last in the west.
fn everywhere(period: Period) -> Result<Window, AuditError> {
    const DAY_SECONDS: i64 = 86_400;
    let utc = period.window(&Zone::utc()).map_err(|source| AuditError::Period { period, source })?;
    Ok(Window { start: utc.start.plus_seconds(-DAY_SECONDS), end: utc.end.plus_seconds(DAY_SECONDS) })
}
