//! Lines of invoices.

use serde::{Deserialize, Serialize};

use super::tax::TaxRule;
use crate::{money::UnitPrice, time::Window};

/// The kinds of charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The plan's flat fee.
    FlatFee,
    /// Units that the flat fee pays for.
    Included,
    /// Units that a charge prices.
    Usage,
    /// The fixed part of a tier, or of requests.
    Fixed,
    /// Units that the plan puts no price on.
    NotCharged,
    /// Units that were paid for in advance.
    Credit,
    /// The amount that is missing to the minimum of a period.
    Minimum,
    /// An amount that is taken off.
    Discount,
    /// A line that somebody wrote.
    Custom,
}

/// A line of a finalized invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// The kind of charge.
    pub kind: LineKind,
    /// The text that people read.
    pub description: String,
    /// The meter whose units these are; none for fees and fixed parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// Units; 1 for a fee.
    pub quantity: i128,
    /// The price of one unit, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<UnitPrice>,
    /// The amount before it was rounded, as a fraction or decimal; none if it needed no rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The amount in minor units, without tax unless the rule includes it.
    pub amount_minor: i64,
    /// The rule by which it is taxed.
    pub tax: TaxRule,
    /// The period that it bills, if that is not the invoice's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Window>,
    /// The code of the coupon that takes it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// True if it is due before the time that it is for: it becomes revenue over that time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_advance: bool,
}
