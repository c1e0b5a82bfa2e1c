//! A bare Pingora reverse proxy: no keys, limits, metering or logs, with the settings that the
//! gateway runs on.
//!
//! Its own cost is Pingora's; the cost of the gateway beyond it is what Tollgate adds.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use pingora_core::{
    Error, ErrorType, Result,
    apps::HttpServerOptions,
    listeners::tls::TlsSettings,
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// Idle upstream connections kept: more than there are ever requests at once, else throughput
/// suffers.
const KEEPALIVE_POOL_SIZE: usize = 1_024;

/// Forwards everything to one server.
struct Passthrough {
    upstream: SocketAddr,
}

/// Files of a certificate and its private key.
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A proxy from `listen` to `upstream` on `threads` threads, ready to run. Clients may speak
/// HTTP/1.1, and HTTP/2 with prior knowledge; with an `identity`, both over TLS. Fails if TLS
/// cannot be spoken with it.
pub fn server(listen: SocketAddr, upstream: SocketAddr, threads: usize, identity: Option<&Identity>) -> Result<Server> {
    let settings = ServerConf {
        threads,
        work_stealing: false,
        upstream_keepalive_pool_size: KEEPALIVE_POOL_SIZE,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Passthrough { upstream });
    if let Some(proxy) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        proxy.server_options = Some(options);
    }
    match identity {
        None => service.add_tcp(&listen.to_string()),
        Some(identity) => service.add_tls_with_settings(&listen.to_string(), None, tls(identity)?),
    }
    server.add_service(service);
    Ok(server)
}

/// TLS as Pingora sets it up, with HTTP/2 on offer.
fn tls(identity: &Identity) -> Result<TlsSettings> {
    let text = |file: &Path| {
        let unreadable = || Error::explain(ErrorType::FileOpenError, format!("{} is not UTF-8", file.display()));
        file.to_str().map(str::to_owned).ok_or_else(unreadable)
    };
    let mut settings = TlsSettings::intermediate(&text(&identity.certificate)?, &text(&identity.key)?)?;
    settings.enable_h2();
    Ok(settings)
}

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _context: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use pingora_core::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        load::{Load, Pace, Request},
        processes, upstream,
    };

    struct Told(Mutex<Option<oneshot::Receiver<()>>>);

    #[async_trait]
    impl ShutdownSignalWatch for Told {
        async fn recv(&self) -> ShutdownSignal {
            let told = self.0.lock().unwrap().take();
            if let Some(told) = told {
                let _ = told.await;
            }
            ShutdownSignal::FastShutdown
        }
    }

    #[tokio::test]
    async fn passthrough_forwards_requests_and_answers_unchanged() {
        let upstream = upstream::spawn("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (listen, target) = (processes::free_address().unwrap(), upstream.address());
        let (stop, told) = oneshot::channel();
        let running = std::thread::spawn(move || {
            let shutdown_signal = Box::new(Told(Mutex::new(Some(told))));
            server(listen, target, 1, None).unwrap().run(RunArgs { shutdown_signal });
        });
        while processes::get(listen, upstream::ACCEPTED_PATH).await.is_err() {
            tokio::task::yield_now().await;
        }
        let requests = vec![Request::get("a", "/v1/hello"), Request::get("b", "/status/404")];
        let load = Load { pace: Pace::Closed, connections: 4, max_requests: Some(100), ..Load::new(listen, requests) };
        let result = load.run().await.unwrap();
        assert_eq!(result.received_of("a", 200), 50);
        assert_eq!(result.received_of("b", 404), 50);
        assert_eq!(upstream.accepted().accepted, 100);
        stop.send(()).unwrap();
        tokio::task::spawn_blocking(|| running.join()).await.unwrap().unwrap();
    }
}
