//! Prepaid credit: units that a tenant has paid for in advance.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::quota::credit::{Credit, TopUp};

/// A tenant's credit for one meter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Credit)]
pub struct CreditDocument {
    /// The meter that counts the units.
    #[schema(example = "tokens")]
    pub meter: String,
    /// Units paid for.
    pub paid: u64,
    /// Units that are used or leased to gateways.
    pub drawn: u64,
    /// Units that answers have used beyond what was paid for: the next top-up pays them first.
    #[serde(default)]
    #[schema(required = true)]
    pub owed: u64,
    /// Units that gateways can still draw.
    pub left: u64,
}

/// Units that were paid for at once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TopUp)]
pub struct TopUpDocument {
    /// Reference of the payment.
    #[schema(example = "order-4711")]
    pub reference: String,
    /// The meter that counts the units.
    pub meter: String,
    /// Number of units; negative units were taken back.
    pub units: i64,
    /// Reason, if one was given.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Time at which the units were added.
    pub added_at: Instant,
}

/// A tenant's credit by meter, and the top-ups behind it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TenantCredit)]
pub struct TenantCreditDocument {
    /// The credit, by meter.
    pub credit: Vec<CreditDocument>,
    /// A page of top-ups, oldest first.
    pub top_ups: Vec<TopUpDocument>,
    /// Asks for the next page of top-ups; null on the last page.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// Units to be added.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTopUp)]
pub struct TopUpBody {
    /// The meter that counts the units.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$", example = "tokens")]
    pub meter: String,
    /// Number of units, not 0. Negative units take back units that no gateway has drawn, and need a
    /// `reason`.
    #[schema(minimum = -1_000_000_000_000_000_i64, maximum = 1_000_000_000_000_000_i64)]
    pub units: i64,
    /// Reference of the payment, such as an order number, 1 to 200 characters: the same reference
    /// adds once. Each tenant has references of its own. Generated unless stated.
    #[schema(min_length = 1, max_length = 200, example = "order-4711")]
    pub reference: Option<String>,
    /// Reason, 1 to 200 characters; required to take units back.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}

impl From<Credit> for CreditDocument {
    fn from(Credit { tenant: _, meter, paid, drawn, owed, left }: Credit) -> Self {
        Self { meter, paid, drawn, owed, left }
    }
}

impl From<TopUp> for TopUpDocument {
    fn from(TopUp { reference, tenant: _, meter, units, reason, added_at }: TopUp) -> Self {
        Self { reference, meter, units, reason, added_at: added_at.into() }
    }
}
