//! Amounts in documents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Money;

/// An amount of money. The currency stands in the document around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Amount)]
pub struct AmountDocument {
    /// In major units, with all decimal places of the currency.
    #[schema(example = "103.80")]
    pub amount: String,
    /// In minor units, such as cents.
    #[schema(example = 10_380)]
    pub minor: i64,
}

impl From<Money> for AmountDocument {
    fn from(money: Money) -> Self {
        Self { amount: money.digits(), minor: money.minor() }
    }
}
