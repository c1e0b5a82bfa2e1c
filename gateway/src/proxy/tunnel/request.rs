//! An upgrade as a request asks for it and an answer grants it.

use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use super::super::hop;
use crate::{
    answer::{Code, Problem},
    route::RouteSettings,
};

/// The protocol that clients mean who cannot do without the upgrade. Others are offers, which may
/// be passed over: some clients offer `h2c` with every request.
pub(super) const WEBSOCKET: &str = "websocket";

/// An upgrade that a request asks for and its route allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upgrade {
    /// Name of the protocol, in lower case.
    pub(crate) protocol: Box<str>,
}

impl Upgrade {
    /// The upgrade of a request, if it asks for one that its route allows. A WebSocket on another
    /// route is refused.
    pub(crate) fn of(request: &RequestHeader, route: &RouteSettings) -> Result<Option<Self>, Problem> {
        if !request.headers.contains_key(header::UPGRADE) || request.version != Version::HTTP_11 {
            return Ok(None);
        }
        let is_meant =
            hop::tokens(&request.headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
        if !is_meant || request.method != Method::GET || has_body(request) {
            return Ok(None);
        }
        let mut wants_websocket = false;
        for token in hop::tokens(&request.headers, &header::UPGRADE) {
            let protocol = String::from_utf8_lossy(token).to_ascii_lowercase();
            if route.allows_upgrade(&protocol) {
                return Ok(Some(Self { protocol: protocol.into() }));
            }
            wants_websocket |= protocol == WEBSOCKET;
        }
        if wants_websocket {
            let detail = "this route does not allow an upgrade to `websocket`";
            return Err(Problem::new(Code::UpgradeNotAllowed, detail));
        }
        Ok(None)
    }

    /// Asks the upstream for the upgrade.
    pub(crate) fn ask(&self, request: &mut RequestHeader) -> Result<()> {
        request.insert_header(header::CONNECTION, "Upgrade")?;
        request.insert_header(header::UPGRADE, &*self.protocol)
    }

    /// Returns true if an answer grants this upgrade, and no other one.
    pub(crate) fn is_granted_by(&self, response: &ResponseHeader) -> bool {
        let mut granted = hop::tokens(&response.headers, &header::UPGRADE).peekable();
        response.status == StatusCode::SWITCHING_PROTOCOLS
            && response.version == Version::HTTP_11
            && granted.peek().is_some()
            && granted.all(|token| token.eq_ignore_ascii_case(self.protocol.as_bytes()))
    }
}

fn has_body(request: &RequestHeader) -> bool {
    let length = request.headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    request.headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0")
}
