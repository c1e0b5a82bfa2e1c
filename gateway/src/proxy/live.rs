//! The configuration in force: one value, swapped as a whole. A request keeps the one that it started with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::runtime::Handle;

use super::upstream::Upstream;
use crate::{
    config::{ClientSettings, ConnectionSettings, Route, Settings, SizeLimits},
    route::Table,
};

/// Routes and upstreams of one version of the file.
pub struct Live {
    /// Which requests go where.
    pub table: Table,
    /// Upstreams by name.
    pub upstreams: BTreeMap<Arc<str>, Arc<Upstream>>,
    /// How large requests may be.
    pub sizes: SizeLimits,
    /// Who is who among those who connect.
    pub clients: ClientSettings,
    /// How many connections they may have, and how long they may take.
    pub connections: ConnectionSettings,
    /// Routes whose connections may be upgraded, by name.
    pub(super) upgrades: HashMap<Arc<str>, Arc<Route>>,
    /// Upstreams that routes name.
    pub routed: Vec<Arc<str>>,
}

impl Live {
    /// Puts settings into force. Upstreams that did not change since `previous` keep their health; the checks of new
    /// ones run on `runtime`.
    pub fn start(settings: &Settings, previous: Option<&Self>, runtime: &Handle) -> std::io::Result<Self> {
        let upstream = |new: &Arc<crate::config::UpstreamSettings>| {
            let kept = previous.and_then(|previous| previous.upstreams.get(&new.name));
            match kept.filter(|kept| kept.settings() == new) {
                Some(kept) => Ok(Arc::clone(kept)),
                None => Upstream::start(new, runtime),
            }
        };
        let upstreams = settings
            .upstreams
            .iter()
            .map(|new| Ok((Arc::clone(&new.name), upstream(new)?)))
            .collect::<std::io::Result<_>>()?;
        let mut routed: Vec<_> = settings.routes.iter().map(|route| Arc::clone(&route.upstream)).collect();
        routed.sort_unstable();
        routed.dedup();
        let with_upgrade = settings.routes.iter().filter(|route| !route.lifecycle.upgrade.protocols.is_empty());
        let upgrades = with_upgrade.map(|route| (Arc::clone(&route.name), Arc::clone(route))).collect();
        Ok(Self {
            table: Table::new(&settings.routes),
            upstreams,
            sizes: settings.sizes,
            clients: settings.clients.clone(),
            connections: settings.connections,
            upgrades,
            routed,
        })
    }

    /// Whether each upstream that a route names has a server that answers.
    pub fn is_ready(&self) -> bool {
        self.silent().next().is_none()
    }

    /// Upstreams that a route names and of which no server answers.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        let answers = |name: &Arc<str>| self.upstreams.get(name).is_some_and(|upstream| upstream.health().healthy > 0);
        self.routed.iter().filter(move |name| !answers(name)).map(AsRef::as_ref)
    }
}
