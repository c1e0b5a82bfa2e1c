//! Hard quotas: blocks of units drawn from one row per tenant, meter and month.
//!
//! Sum of grants - refunds <= limit, always, whatever the number of gateways: the row is the only source.

use super::{Store, StoreError};
use crate::{
    id::TenantId,
    time::{Micros, Period},
};

impl Store {
    /// Draws up to `wanted` units from what `limit` leaves; 0 once it is spent. Never grants beyond `limit`, also
    /// when it was lowered below what is out.
    pub async fn draw_quota(
        &self,
        tenant: TenantId,
        meter: &str,
        period: Period,
        limit: u64,
        wanted: u64,
        now: Micros,
    ) -> Result<u64, StoreError> {
        let _ = (tenant, meter, period, limit, wanted, now);
        todo!()
    }

    /// Gives back units that were drawn and not used.
    pub async fn refund_quota(
        &self,
        tenant: TenantId,
        meter: &str,
        period: Period,
        unused: u64,
        now: Micros,
    ) -> Result<(), StoreError> {
        let _ = (tenant, meter, period, unused, now);
        todo!()
    }
}
