//! Answers in the handshake to an authority that asks whether a name is ours (TLS-ALPN-01,
//! RFC 8737).
//!
//! Whoever orders the certificate puts the answer into a folder: a certificate and its key in the
//! file `NAME.pem`. It is shown to a client that offers `acme-tls/1` and nothing else, and to nobody
//! else.

use std::{path::PathBuf, sync::Arc};

use rustls::{crypto::ring, server::ClientHello, sign::CertifiedKey};

use super::pem;

/// The protocol of the challenge, as the handshake names it.
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// Returns true if the client is an authority that asks.
pub(super) fn is_asked(client: &ClientHello<'_>) -> bool {
    client.alpn().is_some_and(|mut protocols| protocols.next() == Some(PROTOCOL) && protocols.next().is_none())
}

/// The answer for a name; none if none is pending.
pub(super) fn answer(folders: &[PathBuf], name: &str) -> Option<Arc<CertifiedKey>> {
    // The name is one of DNS, which rustls has checked: it leads to no other folder.
    folders.iter().find_map(|folder| {
        let pem = pem::read(&folder.join(format!("{name}.pem"))).ok()?;
        let (chain, key) = (pem::certificates(&pem).ok()?, pem::key(&pem).ok()?);
        Some(Arc::new(CertifiedKey::new(chain, ring::sign::any_supported_type(&key).ok()?)))
    })
}
