//! One bill for several tenants: which tenant's bills are on the invoice of another, by the billing
//! details of the tenant that pays.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::{
    id::TenantId,
    store::{Store, StoreError},
};

use super::{issue::Due, payers::Bill};

/// More levels than a tree has.
const LEVELS_MAX: usize = 16;

/// Tenants that pay for others, and bills that wait for the others of their invoice.
#[derive(Debug, Default)]
pub(super) struct Consolidation {
    parents: HashMap<TenantId, TenantId>,
    paid_for: BTreeMap<TenantId, BTreeSet<TenantId>>,
    waiting: BTreeMap<(TenantId, TenantId, &'static str), Vec<Due>>,
}

impl Consolidation {
    /// By the billing details and the tree of now.
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        let paid_for = store.paid_for().await?;
        if paid_for.is_empty() {
            return Ok(Self::default());
        }
        let accounts = store.tenant_accounts().await?;
        let parents = accounts.iter().filter_map(|account| Some((account.id, account.parent?))).collect();
        Ok(Self { parents, paid_for, waiting: BTreeMap::new() })
    }

    /// The tenant on whose invoice a bill is, if that is for several: the nearest one on the way up
    /// that names the tenant, or the tenant itself if it names others. Nobody owes to itself.
    fn payer(&self, bill: Bill) -> Option<TenantId> {
        if self.paid_for.is_empty() {
            return None;
        }
        let way = std::iter::successors(Some(bill.tenant), |level| self.parents.get(level).copied());
        let mut below_issuer = way.take(LEVELS_MAX).take_while(|level| *level != bill.issuer);
        below_issuer.find(|level| {
            self.paid_for.get(level).is_some_and(|paid| *level == bill.tenant || paid.contains(&bill.tenant))
        })
    }

    /// Keeps the bills that are on an invoice for several tenants, and gives the others back.
    pub(super) fn keep(&mut self, batch: Vec<Due>) -> Vec<Due> {
        let mut alone = Vec::new();
        for due in batch {
            let bill = Bill { tenant: due.1.tenant, issuer: due.1.issuer };
            match self.payer(bill) {
                Some(payer) => {
                    self.waiting.entry((payer, bill.issuer, due.1.currency.code())).or_default().push(due);
                }
                None => alone.push(due),
            }
        }
        alone
    }

    /// Takes the bills that wait, by payer.
    pub(super) fn take(&mut self) -> Vec<(TenantId, Vec<Due>)> {
        std::mem::take(&mut self.waiting).into_iter().map(|((payer, ..), due)| (payer, due)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: TenantId = TenantId::from_u128(1);
    const GROUP: TenantId = TenantId::from_u128(2);
    const UNIT: TenantId = TenantId::from_u128(3);
    const TEAM: TenantId = TenantId::from_u128(4);
    const OTHER: TenantId = TenantId::from_u128(5);

    fn consolidation(paid_for: &[(TenantId, &[TenantId])]) -> Consolidation {
        Consolidation {
            parents: HashMap::from([(GROUP, ROOT), (UNIT, GROUP), (TEAM, UNIT), (OTHER, ROOT)]),
            paid_for: paid_for.iter().map(|(payer, paid)| (*payer, paid.iter().copied().collect())).collect(),
            waiting: BTreeMap::new(),
        }
    }

    fn payer(paid_for: &[(TenantId, &[TenantId])], tenant: TenantId, issuer: TenantId) -> Option<TenantId> {
        consolidation(paid_for).payer(Bill { tenant, issuer })
    }

    #[test]
    fn nearest_tenant_above_that_names_another_pays_for_it() {
        let group: &[(TenantId, &[TenantId])] = &[(GROUP, &[UNIT, TEAM, OTHER])];
        assert_eq!([UNIT, TEAM].map(|tenant| payer(group, tenant, ROOT)), [Some(GROUP); 2]);
        assert_eq!(payer(group, GROUP, ROOT), Some(GROUP), "its own bill is on the invoice, too");
        let both: &[(TenantId, &[TenantId])] = &[(GROUP, &[UNIT, TEAM]), (UNIT, &[TEAM])];
        assert_eq!((payer(both, TEAM, ROOT), payer(both, UNIT, ROOT)), (Some(UNIT), Some(UNIT)));
    }

    #[test]
    fn bills_of_others_and_of_the_payer_as_an_issuer_stay_as_they_are() {
        let group: &[(TenantId, &[TenantId])] = &[(GROUP, &[UNIT, OTHER])];
        assert_eq!(payer(group, OTHER, ROOT), None, "not below it");
        assert_eq!(payer(group, TEAM, ROOT), None, "not named");
        assert_eq!(payer(group, UNIT, GROUP), None, "nobody owes to itself");
        assert_eq!(payer(&[], UNIT, ROOT), None);
    }
}
