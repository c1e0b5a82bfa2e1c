//! Credit that was paid for in advance.

use common::{
    id::TenantId,
    quota::credit::{Credit, TopUp},
};
use serde::{Deserialize, Serialize};

use super::Instant;
use crate::output::{ListRow, Rows, View};

/// A tenant's credit, and whose it is.
#[derive(Debug, Serialize)]
pub(crate) struct CreditReport {
    tenant: TenantId,
    #[serde(flatten)]
    credit: TenantCredit,
}

/// A tenant's credit by meter, and what it was paid with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TenantCredit {
    credit: Vec<CreditRow>,
    pub(crate) top_ups: Vec<TopUpRow>,
    /// Asks for more top-ups; of the API alone.
    #[serde(default, skip_serializing)]
    pub(crate) next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CreditRow {
    meter: String,
    paid: u64,
    drawn: u64,
    #[serde(default)]
    owed: u64,
    left: u64,
}

/// Units that were added, or taken back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TopUpRow {
    reference: String,
    meter: String,
    units: i64,
    reason: Option<String>,
    added_at: Instant,
}

impl CreditReport {
    /// A report of one tenant.
    pub(crate) fn new(tenant: TenantId, credit: Vec<Credit>, top_ups: Vec<TopUp>) -> Self {
        let row = |Credit { meter, paid, drawn, owed, left, .. }| CreditRow { meter, paid, drawn, owed, left };
        let credit = credit.into_iter().map(row);
        let top_ups = top_ups.into_iter().map(|TopUp { reference, meter, units, reason, added_at, .. }| TopUpRow {
            reference,
            meter,
            units,
            reason,
            added_at: Instant(added_at),
        });
        Self::of(tenant, TenantCredit { credit: credit.collect(), top_ups: top_ups.collect(), next_cursor: None })
    }

    /// The same, as it is told.
    pub(crate) const fn of(tenant: TenantId, credit: TenantCredit) -> Self {
        Self { tenant, credit }
    }
}

impl View for CreditReport {
    fn table(&self) -> Rows {
        self.credit.credit.table()
    }
}

impl ListRow for CreditRow {
    const COLUMNS: &'static [&'static str] = &["METER", "PAID", "DRAWN", "OWED", "LEFT"];

    fn cells(&self) -> Vec<String> {
        let numbers = [self.paid, self.drawn, self.owed, self.left].map(|number| number.to_string());
        [self.meter.clone()].into_iter().chain(numbers).collect()
    }
}
