//! Reconciling: entries acknowledged = entries stored = sums in the rollups, postings of the ledger
//! that sum to zero, invoices that agree with payments and ledger, and everything that is still
//! open.
//!
//! The store compares; this module adds what the store cannot judge alone: gaps, dead letters, and
//! usage of unknown tenants.

mod kafka;
mod table;

use std::collections::HashSet;

use common::{
    deferral::DeferralFault,
    id::{BankEntryId, TenantId},
    invoice::InvoiceFault,
    ledger::LedgerFault,
    payment::DisputeFault,
    store::{Store, StoreError},
    time::{Period, TimeError, Window, Zone},
    usage::{
        gaps::UsageGap,
        lives::LostLife,
        reconcile::{Breach, PeriodReconciliation, StreamReconciliation, Tally},
    },
    wallet::WalletFault,
};
pub use kafka::{KafkaBacklog, kafka_backlog};
use serde::Serialize;
pub use table::to_table;

/// Reason why the books could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The period has no borders.
    #[error("period {period}: {source}")]
    Period {
        /// The period.
        period: Period,
        /// Fault of the period.
        source: TimeError,
    },
}

/// Findings of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// True if all that is booked adds up and nothing is open.
    pub clean: bool,
    /// Usage that lies in Kafka and is not booked yet; absent if usage does not come through Kafka.
    pub kafka: Option<KafkaBacklog>,
    /// The period that was reconciled; none: all time.
    pub period: Option<Period>,
    /// Per stream: acknowledged, booked, void, lost, recorded, missing.
    pub streams: Vec<StreamReconciliation>,
    /// Per tenant and month: recorded, summed up.
    pub periods: Vec<PeriodReconciliation>,
    /// Every equality that does not hold.
    pub breaches: Vec<BreachReport>,
    /// Numbers of streams without their entries: skipped, or lost.
    pub open_gaps: Vec<UsageGap>,
    /// Gaps that an operator has accepted.
    #[serde(rename = "settled_gaps")]
    pub accepted_gaps: Vec<UsageGap>,
    /// Lives of gateways whose journals are gone, with unknown content.
    pub lost_lives: Vec<LostLife>,
    /// Lost lives that an operator has accepted.
    #[serde(rename = "settled_lives")]
    pub accepted_lives: Vec<LostLife>,
    /// Messages that could not be booked and are not resolved.
    pub dead_letters: u64,
    /// Usage that was set aside and is not resolved.
    pub quarantined: u64,
    /// Usage of tenants that the store does not know: stored, on no invoice.
    pub unknown_tenants: Vec<UnknownTenant>,
    /// Records whose day has no partition; retention does not reach them.
    pub unpartitioned: u64,
    /// Postings of the ledger that do not sum to zero, at most 100.
    pub ledger: Vec<LedgerFault>,
    /// Wallets that are not what the ledger has.
    pub wallets: Vec<WalletFault>,
    /// Invoices, credit notes and payments that do not agree with each other or with the ledger, at
    /// most 100 of each kind.
    pub invoices: Vec<InvoiceFault>,
    /// Entries of bank statements that are not what was recorded of them, at most 100.
    pub bank_entries: Vec<BankEntryId>,
    /// Fees in advance that are not what the ledger has left of them, or were not recognized by
    /// exact time; at most 100 of each kind.
    pub deferrals: Vec<DeferralFault>,
    /// Tenants whose disputed money is not that of their open disputes, at most 100.
    pub disputes: Vec<DisputeFault>,
}

/// An equality that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreachReport {
    /// The equality in words.
    pub text: String,
    /// The equality for programs.
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
    /// The usage.
    pub usage: Tally,
}

/// Reconciles all usage, or one month of it in each tenant's own time zone.
pub async fn reconcile(store: &Store, period: Option<Period>) -> Result<Report, ReconcileError> {
    let window = period.map(everywhere).transpose()?;
    let mut found = store.reconcile(window).await?;
    // The window holds a day more at either end, for the clocks of all zones.
    found.periods.retain(|month| period.is_none_or(|period| month.period == period));
    let known: HashSet<_> = store.tenants().await?.into_iter().map(|tenant| tenant.id).collect();
    let unknown_tenants = found
        .periods
        .iter()
        .filter(|month| !known.contains(&month.tenant))
        .map(|month| UnknownTenant { tenant: month.tenant, period: month.period, usage: month.rolled_up })
        .collect();
    let (accepted_gaps, open_gaps) = store.usage_gaps().await?.into_iter().partition(|gap| gap.accepted.is_some());
    let (accepted_lives, lost_lives) = store.lost_lives().await?.into_iter().partition(|life| life.accepted.is_some());
    let breaches = found.breaches.into_iter().map(|breach| BreachReport { text: breach.to_string(), breach });
    let mut report = Report {
        clean: false,
        kafka: None,
        period,
        streams: found.streams,
        periods: found.periods,
        breaches: breaches.collect(),
        open_gaps,
        accepted_gaps,
        lost_lives,
        accepted_lives,
        dead_letters: store.dead_letter_count().await?,
        quarantined: store.quarantine_count().await?,
        unknown_tenants,
        unpartitioned: found.unpartitioned,
        ledger: store.ledger_faults().await?,
        wallets: store.wallet_faults().await?,
        invoices: store.invoice_faults().await?,
        deferrals: store.deferral_faults().await?,
        bank_entries: store.bank_entry_faults().await?,
        disputes: store.dispute_faults().await?,
    };
    report.clean = report.faults().is_empty();
    Ok(report)
}

impl Report {
    /// Usage that the books do not cover yet, in words: messages in Kafka that are not booked. None
    /// if the books are complete.
    pub fn incomplete(&self) -> Option<String> {
        self.kafka.as_ref()?.incomplete()
    }

    /// Faults of the books, in words. Accepted gaps, usage of unknown tenants and records without a
    /// partition are no faults.
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
        if !self.ledger.is_empty() {
            faults.push(format!("{} postings of the ledger do not balance", self.ledger.len()));
        }
        if !self.wallets.is_empty() {
            faults.push(format!("{} wallets are not what the ledger has", self.wallets.len()));
        }
        if !self.invoices.is_empty() {
            faults.push(format!("{} invoices, payments or series do not agree", self.invoices.len()));
        }
        if !self.bank_entries.is_empty() {
            faults.push(format!("{} bank entries are not what was recorded of them", self.bank_entries.len()));
        }
        if !self.deferrals.is_empty() {
            faults.push(format!("{} fees in advance are not what the ledger has left of them", self.deferrals.len()));
        }
        if !self.disputes.is_empty() {
            faults.push(format!("{} accounts of disputed money do not agree", self.disputes.len()));
        }
        faults
    }
}

/// The instants of a month in any time zone: from its first in the east to its last in the west.
fn everywhere(period: Period) -> Result<Window, ReconcileError> {
    const DAY_SECONDS: i64 = 86_400;
    let utc = period.window(&Zone::utc()).map_err(|source| ReconcileError::Period { period, source })?;
    Ok(Window { start: utc.start.plus_seconds(-DAY_SECONDS), end: utc.end.plus_seconds(DAY_SECONDS) })
}
