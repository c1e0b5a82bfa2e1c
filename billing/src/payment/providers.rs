//! The accounts with payment providers, by issuer.

use std::{collections::HashMap, sync::Arc};

use common::id::TenantId;

use super::provider::PaymentProvider;

/// The account of an issuer with a provider.
pub type Provider = Arc<dyn PaymentProvider>;

/// Providers of issuers.
#[derive(Clone, Default)]
pub struct Providers {
    by_issuer: HashMap<TenantId, Provider>,
}

impl Providers {
    /// Those of a list of accounts.
    pub fn new(accounts: impl IntoIterator<Item = Provider>) -> Self {
        Self { by_issuer: accounts.into_iter().map(|account| (account.issuer(), account)).collect() }
    }

    /// The provider that collects for an issuer.
    pub fn of(&self, issuer: TenantId) -> Option<&Provider> {
        self.by_issuer.get(&issuer)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Provider> {
        self.by_issuer.values()
    }

    /// Returns true if nobody has one.
    pub fn is_empty(&self) -> bool {
        self.by_issuer.is_empty()
    }
}
