//! The store itself. Changes are logged under the user who typed the command.

mod bank;
mod coupons;
mod exports;
mod invoices;
mod keys;
mod notifications;
mod plans;
mod records;
mod tenants;
mod wallets;

use std::os::unix::fs::MetadataExt as _;

use async_trait::async_trait;
use common::{
    acting::Acting,
    config,
    name::displayable,
    store::{PageRequest, Store, StoreError},
    time::Micros,
};

use super::Backend;
use crate::patience::Patience;

/// A page that holds the whole list.
const ALL: PageRequest = PageRequest { after: None, limit: u32::MAX };

/// A store, at one instant.
pub(crate) struct StoreBackend {
    store: Store,
    now: Micros,
    patience: Patience,
}

impl StoreBackend {
    /// Opens the store at `url`; every change is made at `now`. A command of many steps restarts
    /// `patience` at each.
    pub(crate) async fn open(url: &str, now: Micros, patience: Patience) -> Result<Self, StoreError> {
        let store = Store::open(url).await?.acting_as(Acting::operator(&user()));
        Ok(Self { store, now, patience })
    }
}

#[async_trait]
impl Backend for StoreBackend {
    async fn close(&self) {
        self.store.close().await;
    }
}

/// The user who typed the command: behind `sudo`, the user who called it. Falls back to the numeric
/// user id.
fn user() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(config::environment);
    let numbered =
        || std::fs::metadata("/proc/self").map_or_else(|_| "unknown".into(), |own| format!("uid {}", own.uid()));
    displayable(&named.unwrap_or_else(numbered))
}
