//! Requests that came over TLS: their answers insist on HTTPS, and upstreams are told of the client's
//! certificate.
//!
//! Invariant: an upstream gets the headers `X-Client-Cert-*` only from here. They tell of a
//! certificate that was verified in the handshake of this connection.

use http::{HeaderMap, HeaderName};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::listen::{Secured, ShownCertificate};

/// The handshake of the connection that a request came on, if it has shown anything.
fn of(session: &Session) -> Option<&Secured> {
    session.digest()?.ssl_digest.as_ref()?.extension.get()
}

/// Returns the certificate that the client has shown.
pub(super) fn certificate(session: &Session) -> Option<&ShownCertificate> {
    of(session)?.certificate.as_ref()
}

/// Tells browsers in an answer to use HTTPS only, if the listener says so.
pub(super) fn insist(session: &Session, answer: &mut ResponseHeader) -> Result<()> {
    match of(session).and_then(|secured| secured.hsts.clone()) {
        Some(hsts) => answer.insert_header("Strict-Transport-Security", hsts),
        None => Ok(()),
    }
}

/// Tells the upstream of the certificate.
pub(super) fn introduce(headers: &mut HeaderMap, certificate: &ShownCertificate) {
    let ShownCertificate { subject, names, fingerprint, .. } = certificate;
    headers.insert(HeaderName::from_static("x-client-cert-subject"), subject.clone());
    if !names.is_empty() {
        headers.insert(HeaderName::from_static("x-client-cert-san"), names.clone());
    }
    headers.insert(HeaderName::from_static("x-client-cert-sha256"), fingerprint.clone());
}
