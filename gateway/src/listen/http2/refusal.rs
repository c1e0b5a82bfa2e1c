//! Answering a request of HTTP/2 without the proxy: one that breaks a rule, or one that failed.

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Response, Version, header, response::Parts};
use pingora_http::ResponseHeader;

/// Sends a whole answer. False if the client is gone.
pub(crate) fn answer(respond: &mut SendResponse<Bytes>, header: &ResponseHeader, body: Bytes) -> bool {
    let Ok(mut sending) = respond.send_response(response(header.clone()), body.is_empty()) else {
        return false;
    };
    body.is_empty() || sending.send_data(body, true).is_ok()
}

/// The header of an answer as HTTP/2 has it: without what belongs to one connection of HTTP/1.1.
pub(crate) fn response(header: ResponseHeader) -> Response<()> {
    let mut parts = Parts::from(header);
    parts.version = Version::HTTP_2;
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        parts.headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        parts.headers.remove(name);
    }
    Response::from_parts(parts, ())
}
