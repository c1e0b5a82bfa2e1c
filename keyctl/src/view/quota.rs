//! How hard quotas and credit stand, and which thresholds were reached.

use common::{
    id::TenantId,
    quota::{QuotaStanding, thresholds::ThresholdEvent},
};
use serde::{Deserialize, Serialize};

use super::Instant;
use crate::output::ListRow;

/// How one quota of a tenant stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QuotaView {
    meter: String,
    period: String,
    limit: u64,
    drawn: u64,
    owed: u64,
    left: u64,
}

/// That a tenant has used a part of a quota.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ThresholdView {
    raised_at: Instant,
    tenant: TenantId,
    meter: String,
    period: String,
    percent: u8,
    limit: u64,
    used: u64,
}

impl From<QuotaStanding> for QuotaView {
    fn from(QuotaStanding { meter, source, limit, drawn, owed, left }: QuotaStanding) -> Self {
        Self { meter, period: source.to_string(), limit, drawn, owed, left }
    }
}

impl From<ThresholdEvent> for ThresholdView {
    fn from(event: ThresholdEvent) -> Self {
        let ThresholdEvent { seq: _, tenant, meter, period, percent, limit, used, raised_at } = event;
        Self { raised_at: Instant(raised_at), tenant, meter, period: period.to_string(), percent, limit, used }
    }
}

impl ListRow for QuotaView {
    const COLUMNS: &'static [&'static str] = &["METER", "PERIOD", "LIMIT", "DRAWN", "OWED", "LEFT"];

    fn cells(&self) -> Vec<String> {
        let numbers = [self.limit, self.drawn, self.owed, self.left].map(|number| number.to_string());
        [self.meter.clone(), self.period.clone()].into_iter().chain(numbers).collect()
    }
}

impl ListRow for ThresholdView {
    const COLUMNS: &'static [&'static str] = &["AT", "TENANT", "METER", "PERIOD", "REACHED", "LIMIT", "USED"];
    const DROPPABLE: &'static [&'static str] = &["PERIOD", "LIMIT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.raised_at.to_string(),
            self.tenant.to_string(),
            self.meter.clone(),
            self.period.clone(),
            format!("{} %", self.percent),
            self.limit.to_string(),
            self.used.to_string(),
        ]
    }
}
