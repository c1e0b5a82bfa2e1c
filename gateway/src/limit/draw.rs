//! Units that are drawn for what passes on an open connection, beyond its admission: from the hard
//! quotas and the credit only. Rates and permits are those of the connection.

use common::time::Micros;

use super::{Denial, Limiter, Request, quota::Holds};

/// Units that are held until they are spent. Those that are not go back when it is dropped.
pub(crate) struct Draw {
    held: Holds,
    left: u64,
}

impl Limiter {
    /// Takes the units of a request from every quota that applies, or from none, without waiting. A
    /// quota of which too little is in hand yet denies with [`DenialReason::QuotaUnavailable`].
    ///
    /// [`DenialReason::QuotaUnavailable`]: super::DenialReason::QuotaUnavailable
    pub(crate) fn try_draw(&self, request: Request<'_>) -> Result<Draw, Denial> {
        let held = self.attempt(&request, true).take_quotas().map_err(|denied| denied.denial)?;
        Ok(Draw { held, left: request.units })
    }

    /// Takes the units of a request from every quota that applies, or from none. Waits half a
    /// second at most for units that are on their way.
    pub(crate) async fn draw(&self, request: Request<'_>) -> Result<Draw, Denial> {
        let held = self.or_wait(|counts| self.attempt(&request, counts).take_quotas()).await?;
        Ok(Draw { held, left: request.units })
    }
}

impl Draw {
    /// Units that are not spent.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// Returns true if its units are drawn from credit that was paid for in advance.
    pub(crate) fn is_prepaid(&self) -> bool {
        self.held.is_prepaid()
    }

    /// The time at which units count that are spent `now`: in the month that they were drawn from.
    pub(crate) fn counts_at(&self, now: Micros) -> Micros {
        self.held.within(now)
    }

    /// Adds the units of another draw, which is given back if its units are of other months.
    pub(crate) fn join(&mut self, other: Self) -> Result<(), Self> {
        let Self { held, left } = other;
        self.held.join(held).map_err(|held| Self { held, left })?;
        self.left = self.left.saturating_add(left);
        Ok(())
    }

    /// Spends units that are left, `billed` of which the quotas are charged for.
    pub(crate) fn spend(&mut self, units: u64, billed: u64) {
        self.left = self.left.saturating_sub(units);
        self.held.spend(billed);
    }
}
