//! One health check of one server: a connection, a TLS handshake if the server speaks TLS, a
//! question over HTTP or gRPC
//! if one is set.
//!
//! It connects as requests do: to the same address, with the same authorities, certificate and
//! server name.

use async_trait::async_trait;
use pingora_core::{
    connectors::TransportConnector,
    protocols::{ALPN, Stream, http::v1::client::HttpSession},
};
use pingora_http::RequestHeader;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{cause, grpc_health, http2_check, server::Server};
use crate::config::{Protocol, Question, Statuses, UpstreamSettings};

/// Most bytes of a check's answer that are read before the connection is closed.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// Checks servers.
#[async_trait]
pub(super) trait Probe: Send + Sync {
    /// Succeeds if the server answers as it should. The caller bounds the time.
    async fn check(&self, server: &Server, settings: &UpstreamSettings) -> Result<(), String>;
}

/// Checks servers over the network.
pub(super) struct NetworkProbe {
    connector: TransportConnector,
}

impl NetworkProbe {
    /// Reads the authorities that the system trusts.
    pub(super) fn new() -> Self {
        Self { connector: TransportConnector::new(None) }
    }
}

#[async_trait]
impl Probe for NetworkProbe {
    async fn check(&self, server: &Server, settings: &UpstreamSettings) -> Result<(), String> {
        let mut peer = server.peer.clone();
        peer.options.connection_timeout = Some(settings.health.timeout);
        peer.options.total_connection_timeout = Some(settings.health.timeout);
        let question = &settings.health.question;
        if let Question::Grpc { .. } = question {
            peer.options.set_http_version(2, 2);
        }
        let stream = self.connector.new_stream(&peer).await.map_err(|error| cause::of(&error))?;
        let is_http2 = settings.protocol == Protocol::Http2;
        if is_http2 && server.configured.tls && stream.selected_alpn_proto() != Some(ALPN::H2) {
            return Err("the server does not speak HTTP/2".into());
        }
        let host = || settings.health.host.clone().unwrap_or_else(|| server.named.authority());
        match question {
            Question::Http { path, statuses } if is_http2 => {
                let scheme = if server.configured.tls { "https" } else { "http" };
                http2_check::check(stream, scheme, host(), path, statuses).await
            }
            Question::Http { path, statuses } => request(stream, host(), path, statuses).await,
            Question::Grpc { service } => grpc_health::check(stream, &host(), service, server.configured.tls).await,
            Question::Connection if server.configured.tls => finish_handshake(stream).await,
            Question::Connection => Ok(()),
        }
    }
}

/// In TLS 1.3 a server refuses the client's certificate only after the client's side of the
/// handshake is over. The connection is closed properly, and the server's side read to its end: a
/// refusal is an alert in between.
async fn finish_handshake(mut stream: Stream) -> Result<(), String> {
    let mut bytes = [0; 256];
    // A server that closes first has said all that it had to say.
    let _ = stream.shutdown().await;
    loop {
        match stream.read(&mut bytes).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return cause::alert(&error).map_or(Ok(()), Err),
        }
    }
}

/// Asks for a path, which must answer with one of the statuses.
async fn request(stream: Stream, host: String, path: &str, statuses: &Statuses) -> Result<(), String> {
    let told = |error: Box<pingora_core::Error>| cause::of(&error);
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).map_err(told)?;
    request.insert_header("Host", host).map_err(told)?;
    request.insert_header("User-Agent", "tollgate-health-check").map_err(told)?;
    request.insert_header("Connection", "close").map_err(told)?;
    let mut session = HttpSession::new(stream);
    session.write_request_header(Box::new(request)).await.map_err(told)?;
    session.finish_body().await.map_err(told)?;
    loop {
        session.read_response().await.map_err(told)?;
        match session.get_status() {
            Some(status) if status.is_informational() => {}
            Some(status) if statuses.covers(status.as_u16()) => break,
            Some(status) => return Err(format!("GET {path} answered {}, not {statuses}", status.as_u16())),
            None => return Err(format!("GET {path} answered without a status")),
        }
    }
    let mut received = 0;
    while received < BODY_MAX_BYTES {
        match session.read_body_ref().await.map_err(told)? {
            Some(part) => received += part.len(),
            None => break,
        }
    }
    Ok(())
}
