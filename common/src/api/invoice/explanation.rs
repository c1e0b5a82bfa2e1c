//! Explanations of invoices: what their lines were computed from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::InvoiceDocument;
use crate::{api::subscription::SubscriptionDocument, invoice::BilledUsage};

/// An invoice, and what it was computed from.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = InvoiceExplanation)]
pub struct ExplanationDocument {
    /// The invoice.
    pub invoice: InvoiceDocument,
    /// The subscriptions that were in force in its period, by start; `plan` of usage counts them.
    pub subscriptions: Vec<SubscriptionDocument>,
    /// The usage of its own period that was frozen with it.
    pub usage: Vec<BilledUsageDocument>,
    /// Result of computing its lines again, from the frozen usage.
    pub from_frozen_usage: ComparisonDocument,
    /// The same from the usage that is booked now; late usage makes it differ.
    pub from_booked_usage: ComparisonDocument,
}

/// Result of computing an invoice again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Comparison)]
pub enum ComparisonDocument {
    /// The same lines, to the byte.
    Same,
    /// Other lines.
    Differs,
    /// It cannot be computed: a one-off invoice, or one of late usage alone.
    NotComputed,
}

/// Usage of one meter that was frozen with an invoice.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BilledUsage)]
pub struct BilledUsageDocument {
    /// The meter.
    #[schema(example = "requests")]
    pub meter: String,
    /// Place of the subscription whose plan charges it, from 0; null for units that no plan charges.
    #[schema(required = true)]
    pub plan: Option<u64>,
    /// Units that the plan charges or includes.
    pub units: i64,
    /// Requests that they came from.
    pub requests: i64,
    /// Units that were paid from credit.
    pub credit: i64,
    /// Units beyond a hard quota, which are not charged.
    pub beyond_quota: i64,
}

impl From<BilledUsage> for BilledUsageDocument {
    fn from(usage: BilledUsage) -> Self {
        let BilledUsage { period_start: _, meter, plan, units, requests, credit, beyond_quota, section: _ } = usage;
        Self { meter, plan: plan.and_then(|plan| plan.try_into().ok()), units, requests, credit, beyond_quota }
    }
}
