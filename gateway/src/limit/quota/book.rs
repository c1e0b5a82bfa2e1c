//! The book of all quota accounts. They outlive changes of the catalog and of plans.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use common::{
    id::TenantId,
    time::{Micros, Zone},
};

use super::{account::QuotaAccount, cell::QuotaCell, queue::DrawQueue};
use crate::lock::locked;

/// All quota accounts, and the queue to the keeper. Made by the catalog.
#[derive(Default)]
pub struct QuotaBook {
    accounts: Mutex<HashMap<TenantId, Vec<Arc<QuotaAccount>>>>,
    pub(super) queue: Arc<DrawQueue>,
}

/// Units of a meter that a tenant may use.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Allowance<'a> {
    /// A hard quota: this many units in each month.
    Month {
        /// Time zone in which months begin.
        zone: &'a Zone,
        /// Units of each month.
        units: u64,
    },
    /// Prepaid credit. Its units are in the store.
    Credit,
}

impl QuotaBook {
    /// The account of a hard quota or of credit, with its limit as of now. The same tenant and
    /// meter always have the same account.
    pub(crate) fn account(&self, tenant: TenantId, meter: &str, allowance: Allowance<'_>) -> Arc<QuotaAccount> {
        let (zone, limit) = match allowance {
            Allowance::Month { zone, units } => (Some(zone), units),
            Allowance::Credit => (None, u64::MAX),
        };
        let mut book = locked(&self.accounts);
        let known = book.entry(tenant).or_default();
        let same = |account: &&Arc<QuotaAccount>| account.meter() == meter && account.is_credit() == zone.is_none();
        if let Some(account) = known.iter().find(same) {
            account.set_limit(limit);
            return Arc::clone(account);
        }
        let account = Arc::new(QuotaAccount::new(tenant, meter, zone.cloned(), limit, Arc::clone(&self.queue)));
        known.push(Arc::clone(&account));
        account
    }

    /// Retires every cell whose month has passed.
    pub(super) fn retire_past(&self, now: Micros) {
        locked(&self.accounts).values().flatten().for_each(|account| account.retire_past(now));
    }

    /// The cells of current months.
    pub(super) fn current(&self) -> Vec<Arc<QuotaCell>> {
        locked(&self.accounts).values().flatten().filter_map(|account| account.current()).collect()
    }

    /// All cells that may have units in hand.
    pub(super) fn cells(&self) -> Vec<Arc<QuotaCell>> {
        let mut cells = self.current();
        cells.extend(locked(&self.queue.retired).iter().cloned());
        cells
    }
}
