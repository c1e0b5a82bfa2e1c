//! Upgraded connections: a client and its upstream speak another protocol (WebSocket, say) through the gateway.
//!
//! Invariants: only a route that names the protocol lets a connection be upgraded. An upgraded connection ends within a
//! second of the end of what allows it: its key, its tenant's standing, its route. It holds its permit until then.

mod request;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use common::{
    key::KeyStatus,
    time::{Clock as _, SystemClock},
};
use http::StatusCode;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use prometheus::{IntCounterVec, IntGauge};
pub(super) use request::Upgrade;
use tokio::{sync::watch, time::interval};

use super::{Context, Gateway, Live, client::Client, hop};
use crate::{auth::Caller, catalog::Standing, config::Route, lock::locked, metrics};

/// How often upgraded connections are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Why the gateway ends an upgraded connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// The key was revoked, has expired or was deleted.
    Key = 1,
    /// The tenant, or one above it, is suspended, deleted or without a plan.
    Tenant = 2,
    /// The key may not be used for this route or from this address any more.
    Restricted = 3,
    /// The route is gone, or does not allow the protocol any more.
    Route = 4,
    /// Nothing has passed for too long.
    Idle = 5,
}

/// The upgraded connections of a gateway.
pub(super) struct Tunnels {
    open: Mutex<Vec<Weak<Tunnel>>>,
    count: IntGauge,
    ended: IntCounterVec,
}

/// One upgraded connection.
pub(super) struct Tunnel {
    caller: Caller,
    route: Arc<Route>,
    protocol: Box<str>,
    /// Where the client is.
    address: Option<IpAddr>,
    client: Arc<Client>,
    count: IntGauge,
}

impl End {
    const ALL: [Self; 5] = [Self::Key, Self::Tenant, Self::Restricted, Self::Route, Self::Idle];

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u8 == number)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Restricted => "restricted",
            Self::Route => "route",
            Self::Idle => "idle",
        }
    }
}

impl Tunnels {
    pub(super) fn new() -> Self {
        Self {
            open: Mutex::default(),
            count: metrics::gauge("tollgate_upgraded_connections", "Upgraded connections that are open"),
            ended: metrics::counters(
                "tollgate_upgraded_connections_ended_total",
                "Upgraded connections that the gateway ended: key (revoked, expired), tenant (suspended, no plan), \
                 restricted (scope, address), route (removed), idle",
                &["reason"],
            ),
        }
    }

    /// Takes a connection that is about to be upgraded; it is looked at for as long as what is returned lives.
    pub(super) fn open(
        &self,
        caller: Caller,
        route: Arc<Route>,
        protocol: &str,
        address: Option<IpAddr>,
        client: Arc<Client>,
    ) -> Arc<Tunnel> {
        self.count.inc();
        client.upgrade();
        let count = self.count.clone();
        let tunnel = Arc::new(Tunnel { caller, route, protocol: protocol.into(), address, client, count });
        locked(&self.open).push(Arc::downgrade(&tunnel));
        tunnel
    }

    /// Ends the connections that `judge` has a reason to end, and forgets those that are gone.
    fn look(&self, judge: impl Fn(&Tunnel) -> Option<End>) {
        locked(&self.open).retain(|tunnel| {
            let Some(tunnel) = tunnel.upgrade() else {
                return false;
            };
            let Some(end) = judge(&tunnel) else {
                return true;
            };
            self.ended.with_label_values(&[end.as_str()]).inc();
            tunnel.client.end(end);
            false
        });
    }
}

impl Tunnel {
    /// Why the connection must end now, if it must.
    fn end(&self, live: &Live, now: common::time::Micros) -> Option<End> {
        let Caller { key, .. } = &self.caller;
        if key.status(now) != KeyStatus::Active {
            return Some(End::Key);
        }
        if !matches!(key.standing(), Standing::Served(_)) {
            return Some(End::Tenant);
        }
        let Some(route) = live.upgrades.get(&self.route.name).filter(|route| route.allows_upgrade(&self.protocol))
        else {
            return Some(End::Route);
        };
        if route.scope.as_ref().is_some_and(|scope| !key.has_scope(scope)) || !key.admits_from(self.address) {
            return Some(End::Restricted);
        }
        (self.client.idle() >= route.lifecycle.upgrade.idle).then_some(End::Idle)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.count.dec();
    }
}

impl Gateway {
    /// Turns the connection over to another protocol: no time-out of a request applies from now on.
    pub(super) fn open_tunnel(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> pingora_core::Result<()> {
        let Context { upgrade: Some(upgrade), caller: Some(caller), route: Some(route), .. } = context else {
            return Ok(());
        };
        hop::announce_upgrade(response, &upgrade.protocol)?;
        session.set_read_timeout(None);
        let Some(client) = &context.client else {
            return Ok(());
        };
        let (caller, route, client) = (caller.clone(), Arc::clone(route), Arc::clone(client));
        context.tunnel = Some(self.tunnels.open(caller, route, &upgrade.protocol, context.source.client(), client));
        let request = session.req_header();
        context.kept_line = Some((request.method.as_str().into(), request.uri.path().into()));
        context.status.get_or_insert(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        Ok(())
    }

    /// Looks at upgraded connections until `stopped` turns true.
    pub async fn watch_upgraded(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = looks.tick() => {
                    let (live, now) = (self.live(), SystemClock.now());
                    self.tunnels.look(|tunnel| tunnel.end(&live, now));
                }
            }
        }
    }
}
