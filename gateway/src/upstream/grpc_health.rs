//! A health check by the protocol of gRPC, `grpc.health.v1.Health/Check`, on a connection of its own.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use pingora_core::{
    connectors::http::v2::{H2HandshakeSettings, handshake},
    protocols::{ALPN, Stream, http::v2::client::Http2Session},
};
use pingora_http::RequestHeader;
use prost::Message as _;

use super::cause;

const PATH: &[u8] = b"/grpc.health.v1.Health/Check";

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Most bytes of an answer that are read.
const ANSWER_MAX_BYTES: usize = 4 * 1024;

/// The status of a service that serves.
const SERVING: i32 = 1;

/// The request: the service whose health is asked for, or the whole server if it has no name.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// The answer.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks on a new connection, whose TLS handshake is over, if the service is served.
pub(super) async fn check(stream: Stream, authority: &str, service: &str, is_tls: bool) -> Result<(), String> {
    if is_tls && stream.selected_alpn_proto() != Some(ALPN::H2) {
        return Err("the server does not speak HTTP/2".into());
    }
    let told = |error: Box<pingora_core::Error>| cause::of(&error);
    let mut settings = H2HandshakeSettings::new();
    settings.max_streams = 1;
    let connection = handshake(stream, settings).await.map_err(told)?;
    let session = connection.spawn_stream().await.map_err(told)?;
    let mut session = session.ok_or("the server accepts no stream")?;
    let mut request = RequestHeader::build("POST", PATH, None).map_err(told)?;
    let headers = [
        ("Host", authority),
        ("Content-Type", "application/grpc"),
        ("TE", "trailers"),
        ("User-Agent", "tollgate-health-check"),
    ];
    for (name, value) in headers {
        request.insert_header(name, value.to_owned()).map_err(told)?;
    }
    session.write_request_header(Box::new(request), false).map_err(told)?;
    session.write_request_body(framed(service), true).await.map_err(told)?;
    let outcome = answer(&mut session).await;
    session.shutdown();
    outcome
}

/// The request with its prefix.
fn framed(service: &str) -> Bytes {
    let message = HealthCheckRequest { service: service.to_owned() };
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

async fn answer(session: &mut Http2Session) -> Result<(), String> {
    let told = |error: Box<pingora_core::Error>| cause::of(&error);
    session.read_response_header().await.map_err(told)?;
    let header = session.response_header().ok_or("no answer")?;
    if header.status != http::StatusCode::OK {
        return Err(format!("the health check answered {}, not 200", header.status.as_u16()));
    }
    refused(&header.headers)?;
    let mut body = BytesMut::new();
    while let Some(part) = session.read_response_body().await.map_err(told)? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_MAX_BYTES {
            return Err("the answer of the health check is too large".into());
        }
    }
    if let Some(trailers) = session.read_trailers().await.map_err(told)? {
        refused(&trailers)?;
    }
    read(&body)
}

/// Fails if the headers carry a status of gRPC that is not OK.
fn refused(headers: &HeaderMap) -> Result<(), String> {
    let code = headers.get("grpc-status").map(|code| code.to_str().unwrap_or("?"));
    match code {
        None | Some("0") => Ok(()),
        Some("5") => Err("the server does not know the service (gRPC status 5)".into()),
        Some("12") => Err("the server does not serve grpc.health.v1 (gRPC status 12)".into()),
        Some(code) => Err(format!("the health check ended with gRPC status {}", code.get(..3).unwrap_or(code))),
    }
}

/// Reads the only message of an answer.
fn read(body: &[u8]) -> Result<(), String> {
    let broken = || "the answer of the health check is not gRPC".to_owned();
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES).ok_or_else(broken)?;
    let length = prefix[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if prefix[0] != 0 || message.len() != length {
        return Err(broken());
    }
    match HealthCheckResponse::decode(message).map_err(|_| broken())?.status {
        SERVING => Ok(()),
        0 => Err("the service is UNKNOWN".into()),
        2 => Err("the service is NOT_SERVING".into()),
        3 => Err("the server does not know the service".into()),
        status => Err(format!("the service has the status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_a_framed_message() {
        assert_eq!(&framed("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&framed("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }

    #[test]
    fn only_one_whole_message_that_says_serving_is_good() {
        assert_eq!(read(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        let bad: [&[u8]; 8] = [
            &[],
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 8, 2],
            &[0, 0, 0, 0, 2, 8, 9],
            &[0, 0, 0, 0, 3, 8, 1],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 2, 8, 1, 0],
            &[0, 255, 255, 255, 255, 8, 1],
        ];
        for body in bad {
            assert!(read(body).is_err(), "{body:?}");
        }
    }
}
