//! From the plans on the way up from a tenant to what holds for it: worked out once for all tenants
//! above whom the same plans stand.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use common::{
    id::TenantId,
    plan::{
        PlanId, PlanVersion,
        effective::{EffectiveTerms, Level, resolve},
    },
};

use super::entry::PlanTerms;
use crate::limit::PlanRates;

/// Number of terms that are kept before unused ones are dropped.
const TERMS_KEPT: usize = 4_096;

/// A plan version, by its place in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PlanNumber(usize);

/// The own plan of a tenant and of each above it, tenant first.
pub(super) type Chain = Vec<Option<PlanNumber>>;

/// Every plan version that was ever pinned, and what follows from them. Versions never change, nor
/// does what follows.
#[derive(Default)]
pub(super) struct PlanBook {
    numbers: HashMap<PlanId, HashMap<(Option<TenantId>, i64), PlanNumber>>,
    versions: Vec<PlanVersion>,
    terms: HashMap<Chain, Option<Arc<PlanTerms>>>,
}

impl PlanBook {
    pub(super) fn add(&mut self, version: PlanVersion) {
        let number = PlanNumber(self.versions.len());
        let known = self.numbers.entry(version.plan.id.clone()).or_default();
        if let Entry::Vacant(entry) = known.entry((version.owner, version.version)) {
            entry.insert(number);
            self.versions.push(version);
        }
    }

    pub(super) fn number(&self, owner: TenantId, plan: &PlanId, version: i64) -> Option<PlanNumber> {
        self.numbers.get(plan)?.get(&(Some(owner), version)).copied()
    }

    pub(super) fn versions(&self) -> &[PlanVersion] {
        &self.versions
    }

    pub(super) fn version(&self, number: PlanNumber) -> Option<&PlanVersion> {
        self.versions.get(number.0)
    }

    /// Returns the terms of a tenant with these plans on its way up; none if there is no plan.
    pub(super) fn terms(&mut self, chain: &Chain) -> Option<Arc<PlanTerms>> {
        if let Some(terms) = self.terms.get(chain) {
            return terms.clone();
        }
        if self.terms.len() >= TERMS_KEPT {
            self.terms.retain(|_, terms| terms.as_ref().is_some_and(|terms| Arc::strong_count(terms) > 1));
        }
        let terms = self.resolve(chain).map(Arc::new);
        self.terms.insert(chain.clone(), terms.clone());
        terms
    }

    fn resolve(&self, chain: &Chain) -> Option<PlanTerms> {
        let level = |plan: &Option<PlanNumber>| Level {
            // Whose plans they are makes no difference to what they come to.
            tenant: TenantId::from_u128(0),
            plan: plan.and_then(|number| self.versions.get(number.0)),
        };
        let levels: Vec<Level<'_>> = chain.iter().map(level).collect();
        resolve(&levels).map(|terms| PlanTerms::new(&terms))
    }
}

impl PlanTerms {
    fn new(terms: &EffectiveTerms) -> Self {
        Self {
            plan: terms.plan.clone(),
            rates: Arc::new(PlanRates::new(&terms.key.rates(), &terms.tenant.rates(), &terms.pool.rates())),
            caps: terms.caps.clone(),
            prepaid: terms.prepaid.clone(),
        }
    }
}
