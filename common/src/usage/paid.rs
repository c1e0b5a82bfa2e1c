//! The source that pays for the units of a request.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::UsageRecord;
use crate::{key::Mode, word::UnknownWord};

/// The source that pays for the units of a request. It is decided at admission, and no later change
/// of plan alters it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaidBy {
    /// Nobody pays: the answer is not billable, or the key is for tests.
    Nothing,
    /// The plan of whoever pays for the tenant at that time: by its allowance, or by its prices.
    Charge,
    /// Credit of the tenant, paid for in advance.
    Credit,
}

impl PaidBy {
    /// Returns the source that pays for the units of `record`.
    pub const fn of(record: &UsageRecord) -> Self {
        match (record.billable, record.mode, record.prepaid) {
            (false, ..) | (_, Mode::Test, _) => Self::Nothing,
            (true, Mode::Live, true) => Self::Credit,
            (true, Mode::Live, false) => Self::Charge,
        }
    }

    /// Returns true if anybody pays.
    pub const fn is_billable(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The word for it in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Charge => "charge",
            Self::Credit => "credit",
        }
    }
}

impl fmt::Display for PaidBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for PaidBy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "none" => Ok(Self::Nothing),
            "charge" => Ok(Self::Charge),
            "credit" => Ok(Self::Credit),
            _ => Err(UnknownWord::new("payment of usage", "none, charge, credit", word)),
        }
    }
}
