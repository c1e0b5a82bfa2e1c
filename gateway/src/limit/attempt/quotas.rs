//! One request before the hard quotas that it draws on, of its tenant and of those above, and its
//! tenant's credit.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    super::{
        Denial, DenialReason, LimitState,
        quota::{Holds, QuotaAccount, QuotaCell, Refused},
    },
    Attempt, Awaited, Denied, NO_MONTH, Request,
};

/// Seconds after which a request may try again that was refused because the store did not answer.
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// Prepaid credit, of which no window can be told.
const CREDIT: LimitState = LimitState { policy: "credit", ..NO_MONTH };

/// Quotas that one request draws on without an allocation: as many as the tree has levels, and
/// credit.
const QUOTAS_IN_PLACE: usize = 6;

/// Quotas that apply to one request, and the units in hand of each.
type QuotaCells<'r> = SmallVec<[(&'r QuotaAccount, Arc<QuotaCell>); QUOTAS_IN_PLACE]>;

impl<'r> Attempt<'r> {
    /// Takes the units from each quota that applies, or from none.
    #[inline]
    pub(in super::super) fn take_quotas(&self) -> Result<Holds, Denied> {
        let mut holds = Holds::default();
        if self.request.quotas.is_empty() {
            return Ok(holds);
        }
        let cells = self.quota_cells()?;
        if cells.len() > 1 {
            self.look_at_quotas(&cells)?;
        }
        for (account, cell) in &cells {
            // What was taken before goes back if this one has too little.
            let taken = account.take(cell, self.request.units, self.nanos);
            holds.push(taken.map_err(|refused| self.denied_by_quota(cell, refused))?);
        }
        Ok(holds)
    }

    /// Looks at every quota. An empty one, or one that was spent long enough ago to be asked for
    /// again, is drawn for, unless another one is spent in any case.
    pub(super) fn look_at_quotas(&self, cells: &QuotaCells<'_>) -> Result<(), Denied> {
        let (units, nanos) = (self.request.units, self.nanos);
        let mut missing: SmallVec<[_; QUOTAS_IN_PLACE]> = SmallVec::new();
        for (account, cell) in cells {
            match cell.look(units) {
                Ok(()) => account.send_for_more(cell, false, nanos),
                Err(units_missing) => missing.push((account, cell, units_missing)),
            }
        }
        if let Some((_, cell, _)) = missing.iter().find(|(_, cell, units_missing)| cell.is_spent(*units_missing, nanos))
        {
            return Err(self.denied_by_quota(cell, Refused::Spent));
        }
        for (account, cell, _) in &missing {
            account.send_for_more(cell, true, nanos);
        }
        // Waiting for one does not help while another refuses all the same.
        let refusals = missing.iter().map(|(_, cell, units_missing)| (cell, cell.refusal(*units_missing)));
        match refusals.min_by_key(|(_, refused)| *refused == Refused::Drawing) {
            None => Ok(()),
            Some((cell, refused)) => Err(self.denied_by_quota(cell, refused)),
        }
    }

    /// The quotas that apply to the meter, in this month.
    pub(super) fn quota_cells(&self) -> Result<QuotaCells<'r>, Denied> {
        let cell = |account: &'r Arc<QuotaAccount>| {
            let cell = account.cell(self.request.now).ok_or_else(|| self.denied_without_month())?;
            Ok((&**account, cell))
        };
        self.quota_accounts().map(cell).collect()
    }

    pub(super) fn quota_accounts(&self) -> impl Iterator<Item = &'r Arc<QuotaAccount>> {
        let Request { quotas, to, .. } = *self.request;
        quotas.iter().filter(move |account| account.meter() == to.meter)
    }

    fn denied_by_quota(&self, cell: &Arc<QuotaCell>, refused: Refused) -> Denied {
        let month = cell.state(self.request.tenant.tenant, self.request.now);
        let violated = month.unwrap_or(CREDIT);
        let (reason, retry_after_seconds) = match refused {
            Refused::Spent if month.is_none() => (DenialReason::CreditSpent, 0),
            Refused::Spent => (DenialReason::QuotaExceeded, violated.reset_seconds.max(1)),
            Refused::Drawing | Refused::Unavailable => (DenialReason::QuotaUnavailable, UNAVAILABLE_RETRY_SECONDS),
        };
        let mut limits = self.states();
        if month.is_some() && refused == Refused::Spent {
            limits.push_refusing(violated);
        }
        let limits = limits.to_vec();
        let awaited = (refused == Refused::Drawing).then(|| Awaited::Quota(Arc::clone(cell)));
        Denied { denial: Denial { reason, violated, limits, retry_after_seconds }, awaited }
    }

    /// The clock shows a time that belongs to no month: no quota can be charged.
    fn denied_without_month(&self) -> Denied {
        let denial = Denial {
            reason: DenialReason::QuotaUnavailable,
            violated: NO_MONTH,
            limits: self.states().to_vec(),
            retry_after_seconds: UNAVAILABLE_RETRY_SECONDS,
        };
        Denied { denial, awaited: None }
    }
}
