//! Listening on an address that the settings name, and serving there: as many connections as the
//! descriptors suffice for, each with deadlines, so that clients that say nothing keep nobody out.

use std::{future::Future, net::SocketAddr, path::Path};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use common::{
    listen::{
        self, ConnectionLimits, Connections, ListenerMetrics, descriptors,
        http::{Deadlines, Guard, PacedBody, Protocol, Signals},
    },
    tls::{self, ListenerTls, ServerTls},
};
use hyper::{
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::service::TowerToHyperService;
use prometheus::{IntGauge, Registry};
use tokio::{net::TcpListener, sync::watch};

use super::CommandError;

/// Room for the header of a request, in bytes; a larger one is answered 431.
const HEADER_MAX_BYTES: usize = 64 * 1024;

/// Listens on `address`, which stands as `setting` in `file`.
pub(super) async fn listen(
    address: SocketAddr,
    setting: &'static str,
    file: &Path,
) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|source| CommandError::Listen {
        port: address.port(),
        address,
        setting,
        file: file.display().to_string(),
        source,
    })
}

/// The limits for clients of this process, and TLS with them on the address that `setting` names. Raises the limit of open descriptors to what the system
/// allows, and logs it.
pub(super) fn guard(
    registry: &Registry,
    tls: Option<&ServerTls>,
    setting: &'static str,
) -> Result<Guard, CommandError> {
    match descriptors::raise_limit() {
        Ok(limit) => tracing::info!(event = "descriptor_limit", descriptors = limit.now, before = limit.before),
        Err(error) => tracing::warn!(event = "descriptor_limit_not_raised", %error),
    }
    let open = IntGauge::new("tollgate_api_connections", "Connections of clients of the business API")?;
    registry.register(Box::new(open.clone()))?;
    listen::metrics::show_in(registry)?;
    tls::metrics::register(registry)?;
    let most = descriptors::room(0).connections;
    Ok(Guard {
        connections: Connections::new(ListenerMetrics::new("api", open)),
        limits: ConnectionLimits { most, most_per_address: most },
        deadlines: Deadlines::default(),
        tls: tls.map(|tls| ListenerTls::start(setting, tls)),
    })
}

/// Serves `router` until `stop`, then finishes what is being answered. Handlers find the client's
/// address as `ConnectInfo<SocketAddr>`; a body that does not come at its pace ends in an error.
pub(super) async fn serve(listener: TcpListener, router: Router, guard: Guard, stop: impl Future<Output = ()>) {
    let (ending, stopped) = watch::channel(false);
    let signals = Signals { stopped: stopped.clone(), closing: stopped };
    let (rate, metrics) = (guard.deadlines.body, guard.connections.metrics().clone());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(PacedBody::new(body, rate, metrics.clone())));
        if let Some(peer) = request.extensions().get::<SocketAddr>().copied() {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        router.call(request)
    });
    let protocol = Protocol::Http1 { header_bytes: HEADER_MAX_BYTES };
    let serving = listen::http::serve(listener, guard, protocol, service, signals);
    let stopping = async {
        stop.await;
        ending.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serving => {}
        () = stopping => {}
    }
}
