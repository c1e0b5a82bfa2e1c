//! Table of a tenant's quotas.

use common::api::quota::QuotaStandingDocument;

use crate::output::ListRow;

impl ListRow for QuotaStandingDocument {
    const COLUMNS: &'static [&'static str] = &["METER", "PERIOD", "LIMIT", "DRAWN", "OWED", "LEFT"];

    fn cells(&self) -> Vec<String> {
        let numbers = [self.limit, self.drawn, self.owed, self.left].map(|number| number.to_string());
        [self.meter.clone(), self.period.clone()].into_iter().chain(numbers).collect()
    }
}
