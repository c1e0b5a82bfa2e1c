//! A health check that asks for a path by HTTP/2, on a connection of its own.

use http::Uri;
use pingora_core::{
    connectors::http::v2::{H2HandshakeSettings, handshake},
    protocols::Stream,
};
use pingora_http::RequestHeader;

use super::cause;
use crate::config::Statuses;

/// Asks for a path, which must answer with one of the statuses.
pub(super) async fn check(
    stream: Stream,
    scheme: &str,
    host: String,
    path: &str,
    statuses: &Statuses,
) -> Result<(), String> {
    let told = |error: Box<pingora_core::Error>| cause::of(&error);
    let mut settings = H2HandshakeSettings::new();
    settings.max_streams = 1;
    let connection = handshake(stream, settings).await.map_err(told)?;
    let session = connection.spawn_stream().await.map_err(told)?;
    let mut session = session.ok_or("the server accepts no stream")?;
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).map_err(told)?;
    let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    request.set_uri(uri.map_err(|error| error.to_string())?);
    request.insert_header("User-Agent", "tollgate-health-check").map_err(told)?;
    session.write_request_header(Box::new(request), true).map_err(told)?;
    session.read_response_header().await.map_err(told)?;
    let status = session.response_header().ok_or("no answer")?.status.as_u16();
    session.shutdown();
    if statuses.covers(status) { Ok(()) } else { Err(format!("GET {path} answered {status}, not {statuses}")) }
}
