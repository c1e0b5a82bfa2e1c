//! The configuration in force: one value, swapped as a whole. A request keeps the one that it started with.

use std::{collections::HashMap, sync::Arc};

use crate::{
    config::{ClientSettings, ConnectionSettings, Route, Settings, SizeLimits},
    route::Table,
    upstream::{self, Upstreams},
};

/// Routes and upstreams of one version of the file.
pub struct Live {
    /// Which requests go where.
    pub table: Table,
    /// Upstreams by name.
    pub upstreams: Upstreams,
    /// How large requests may be.
    pub sizes: SizeLimits,
    /// Who is who among those who connect.
    pub clients: ClientSettings,
    /// How many connections they may have, and how long they may take.
    pub connections: ConnectionSettings,
    /// Routes whose connections may be upgraded, by name.
    pub(super) upgrades: HashMap<Arc<str>, Arc<Route>>,
}

impl Live {
    /// Puts settings into force, on the runtime that then checks the upstreams. Upstreams that did not change since
    /// `previous` keep their health. Waits for the first look-up of new names, and not for long.
    pub async fn start(settings: &Settings, previous: Option<&Self>) -> Self {
        let with_upgrade = settings.routes.iter().filter(|route| !route.lifecycle.upgrade.protocols.is_empty());
        let upgrades = with_upgrade.map(|route| (Arc::clone(&route.name), Arc::clone(route))).collect();
        Self {
            table: Table::new(&settings.routes),
            upstreams: upstream::start(&settings.upstreams, previous.map(|previous| &previous.upstreams)).await,
            sizes: settings.sizes,
            clients: settings.clients.clone(),
            connections: settings.connections,
            upgrades,
        }
    }

    /// Returns true if each essential upstream has a server that answers.
    pub fn is_ready(&self) -> bool {
        self.silent().next().is_none()
    }

    /// Essential upstreams of which no server answers.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        let essential = self.upstreams.iter().filter(|(_, upstream)| upstream.settings().essential);
        essential.filter(|(_, upstream)| upstream.health().healthy == 0).map(|(name, _)| &**name)
    }
}
