//! Upgraded connections: a client and its upstream speak another protocol (WebSocket, say) through
//! the gateway.
//!
//! Invariants: only a route that names the protocol lets a connection be upgraded. An upgraded
//! connection ends within a second of the end of what allows it: its key, its tenant's standing,
//! its route. It holds its permit until then.

mod request;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use common::{key::KeyStatus, time::Micros};
use prometheus::{IntCounterVec, IntGauge};
pub(super) use request::Upgrade;
use request::WEBSOCKET;

use super::client::{Client, End, MeteredFrames};
use crate::{
    catalog::{Caller, Standing},
    lock::locked,
    metrics,
    route::Route,
    runtime::{Gateway, Live},
};

/// Looks for which the end of a frame is waited for, so that the connection ends within a second.
const WAITS_MAX: u8 = 3;

/// The upgraded connections of a gateway.
pub(super) struct Tunnels {
    open: Mutex<Vec<Weak<Tunnel>>>,
    count: IntGauge,
    ended: IntCounterVec,
    /// True once each WebSocket is told to connect again.
    is_restarting: AtomicBool,
}

/// One upgraded connection.
pub(super) struct Tunnel {
    caller: Caller,
    /// The end of the caller's token, if it came with one.
    token_expires_at: Option<Micros>,
    route: Arc<Route>,
    protocol: Box<str>,
    /// The client's address.
    address: Option<IpAddr>,
    client: Arc<Client>,
    count: IntGauge,
    /// Looks for which the end of a frame was waited for.
    waited: AtomicU8,
}

impl Tunnels {
    pub(super) fn new() -> Self {
        Self {
            open: Mutex::default(),
            count: metrics::gauge("tollgate_upgraded_connections", "Upgraded connections that are open"),
            ended: metrics::counters(
                "tollgate_upgraded_connections_ended_total",
                "Upgraded connections that the gateway ended: key (revoked, expired), tenant (suspended, no plan), \
                 restricted (scope, address), route (removed), idle, restart (the gateway ends), quota (spent), credit \
                 (spent), usage (cannot be counted now)",
                &["reason"],
            ),
            is_restarting: AtomicBool::new(false),
        }
    }

    /// Takes a connection that is about to be upgraded; it is looked at for as long as what is
    /// returned lives.
    pub(super) fn open(
        &self,
        caller: Caller,
        token_expires_at: Option<Micros>,
        route: Arc<Route>,
        protocol: &str,
        address: Option<IpAddr>,
        client: Arc<Client>,
    ) -> Arc<Tunnel> {
        self.count.inc();
        client.upgrade(protocol == WEBSOCKET);
        let count = self.count.clone();
        let tunnel = Arc::new(Tunnel {
            caller,
            token_expires_at,
            route,
            protocol: protocol.into(),
            address,
            client,
            count,
            waited: AtomicU8::new(0),
        });
        locked(&self.open).push(Arc::downgrade(&tunnel));
        tunnel
    }

    /// From now on, each WebSocket is told to connect again: another process serves in this one's
    /// place.
    pub(super) fn restart(&self) {
        self.is_restarting.store(true, Ordering::Relaxed);
    }

    /// Ends the connections that `judge` has a reason to end, and forgets those that are gone.
    pub(super) fn look(&self, judge: impl Fn(&Tunnel) -> Option<End>) {
        locked(&self.open).retain(|tunnel| {
            let Some(tunnel) = tunnel.upgrade() else {
                return false;
            };
            if tunnel.client.ended().is_some() {
                return tunnel.wait_for_frame();
            }
            let is_restarting = self.is_restarting.load(Ordering::Relaxed) && *tunnel.protocol == *WEBSOCKET;
            let Some(end) = judge(&tunnel).or_else(|| is_restarting.then_some(End::Restart)) else {
                return true;
            };
            self.ended.with_label_values(&[end.as_str()]).inc();
            tunnel.client.end(end);
            !tunnel.client.is_over()
        });
    }
}

impl Tunnel {
    /// Counts what passes on a WebSocket that is about to be opened, if its route bills by that.
    /// Returns the count of what the client sends.
    pub(super) fn count_frames(&self, gateway: &Arc<Gateway>) -> Option<Box<MeteredFrames>> {
        let units = self.route.lifecycle.upgrade.units?;
        let frames = || {
            let (caller, route) = (self.caller.clone(), Arc::clone(&self.route));
            Box::new(MeteredFrames::new(Arc::clone(gateway), caller, route, units.count))
        };
        if units.from.includes_server() {
            self.client.count_frames(frames());
        }
        units.from.includes_client().then(frames)
    }

    /// Looks once more whether the frame is complete that is on its way to the client. False once
    /// the connection is over.
    fn wait_for_frame(&self) -> bool {
        if self.waited.fetch_add(1, Ordering::Relaxed) + 1 >= WAITS_MAX {
            self.client.insist();
        }
        !self.client.is_over()
    }

    /// Returns the reason for which the connection must end now, if there is one.
    pub(super) fn end(&self, live: &Live, now: Micros) -> Option<End> {
        let Caller { key, .. } = &self.caller;
        if key.status(now) != KeyStatus::Active || self.token_expires_at.is_some_and(|end| end <= now) {
            return Some(End::Key);
        }
        if !matches!(key.standing(), Standing::Served(_)) {
            return Some(End::Tenant);
        }
        if let Some(end) = self.client.due_end() {
            return Some(end);
        }
        let Some(route) = live.upgrades.get(&self.route.name).filter(|route| route.allows_upgrade(&self.protocol))
        else {
            return Some(End::Route);
        };
        let is_denied = route.addresses.as_ref().is_some_and(|addresses| !addresses.admit(self.address));
        let lacks_scope = route.scope.as_ref().is_some_and(|scope| !key.has_scope(scope));
        if is_denied || lacks_scope || !key.admits_from(self.address) {
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
