//! The accounts with payment providers, by issuer.

use std::{collections::HashMap, sync::Arc};

use common::id::TenantId;

use super::stripe::Stripe;

/// Providers of issuers.
#[derive(Clone, Default)]
pub struct Providers {
    by_issuer: HashMap<TenantId, Arc<Stripe>>,
}

impl Providers {
    /// Those of a list of accounts.
    pub fn new(accounts: impl IntoIterator<Item = Stripe>) -> Self {
        Self { by_issuer: accounts.into_iter().map(|stripe| (stripe.issuer(), Arc::new(stripe))).collect() }
    }

    /// The provider that collects for an issuer.
    pub fn of(&self, issuer: TenantId) -> Option<&Arc<Stripe>> {
        self.by_issuer.get(&issuer)
    }

    /// Returns true if nobody has one.
    pub fn is_empty(&self) -> bool {
        self.by_issuer.is_empty()
    }
}
