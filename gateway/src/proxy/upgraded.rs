//! The proxy and its upgraded connections: how they begin, and the task that ends those that may
//! not go on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use common::time::{Clock as _, SystemClock};
use http::StatusCode;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::{sync::watch, time::interval};

use super::{Proxy, context::Context, hop};

/// Time between two checks of upgraded connections.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

impl Proxy {
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
        let (ends_at, address) = (context.token_expires_at, context.source.client());
        let tunnel = self.tunnels.open(caller, ends_at, route, &upgrade.protocol, address, client);
        context.from_client = tunnel.count_frames(&self.gateway);
        context.tunnel = Some(tunnel);
        let request = session.req_header();
        context.kept_line = Some((request.method.as_str().into(), request.uri.path().into()));
        context.status.get_or_insert(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        Ok(())
    }

    /// Lets what a client sends on an upgraded connection go on, as far as it may. What may not is
    /// dropped, and the connection ends.
    pub(super) async fn pass_from_client(body: &mut Option<Bytes>, context: &mut Context) {
        let (Some(frames), Some(bytes)) = (&mut context.from_client, &body) else {
            return;
        };
        let (on, end) = frames.pass(bytes).await;
        *body = Some(on);
        if let (Some(end), Some(client)) = (end, &context.client) {
            client.ask_to_end(end);
        }
    }

    /// Tells each WebSocket to connect again, within a second.
    pub(crate) fn end_websockets(&self) {
        self.tunnels.restart();
    }

    /// Checks upgraded connections until `stopped` turns true.
    pub async fn watch_upgraded(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = looks.tick() => {
                    let (live, now) = (self.gateway.live(), SystemClock.now());
                    self.tunnels.look(|tunnel| tunnel.end(&live, now));
                }
            }
        }
    }
}
