//! The handshake of TLS with a client, and what the requests of the connection get to know of it.

use std::{any::Any, collections::HashMap, sync::Arc};

use async_trait::async_trait;
use common::{
    id::KeyId,
    time::{Clock as _, SystemClock},
    tls::{ClientCertificate, ServerTls},
};
use http::HeaderValue;
use pingora_core::{
    Error, ErrorType,
    listeners::{
        TlsAccept,
        tls::{Acceptor, TlsSettings},
    },
    protocols::{ALPN, Shutdown as _, Ssl as _, Stream, tls::TlsRef},
};
use pingora_rustls::TlsAcceptor;

use super::socket::Socket;
use crate::config::ListenerSettings;

/// Accepts the handshakes of a listener.
pub(super) struct Handshake {
    acceptor: Acceptor,
}

/// A connection over TLS, as its requests see it.
pub(crate) struct Secured {
    /// Value of `Strict-Transport-Security` in every answer.
    pub(crate) hsts: Option<HeaderValue>,
    /// The certificate that the client has shown, if it was verified.
    pub(crate) certificate: Option<ShownCertificate>,
}

/// A client's certificate as upstreams are told of it.
pub(crate) struct ShownCertificate {
    pub(crate) subject: HeaderValue,
    /// Alternative names, separated by commas.
    pub(crate) names: HeaderValue,
    pub(crate) fingerprint: HeaderValue,
    /// The key that it stands for.
    pub(crate) key: Option<KeyId>,
    not_after: i64,
}

/// Writes down what a finished handshake has shown.
struct Witness {
    hsts: Option<HeaderValue>,
    /// Keys by subject or alternative name.
    keys: Arc<HashMap<String, KeyId>>,
}

impl Handshake {
    pub(super) fn new(tls: &ServerTls, settings: &ListenerSettings) -> Self {
        let hsts = settings.hsts_seconds.and_then(|seconds| HeaderValue::try_from(format!("max-age={seconds}")).ok());
        Self { acceptor: acceptor(tls, Witness { hsts, keys: Arc::clone(&settings.certificate_keys) }) }
    }

    /// Shakes hands. None if the client is an authority that asked whether a name is ours: the
    /// handshake was the answer, and nothing else is spoken.
    pub(super) async fn shake_hands(&self, socket: Socket) -> pingora_core::Result<Option<Stream>> {
        let mut stream = self.acceptor.tls_handshake(socket).await?;
        if matches!(stream.selected_alpn_proto(), Some(ALPN::Custom(_))) {
            stream.shutdown().await;
            return Ok(None);
        }
        let digest = stream.get_ssl_digest();
        let secured = digest.as_ref().and_then(|digest| digest.extension.get::<Secured>());
        let certificate = secured.and_then(|secured| secured.certificate.as_ref());
        // A resumed session was verified when it began.
        if certificate.is_some_and(|certificate| certificate.not_after < SystemClock.now().seconds()) {
            return Err(Error::explain(ErrorType::InvalidCert, "the client's certificate has expired"));
        }
        Ok(Some(Box::new(stream)))
    }
}

/// Pingora's acceptor with these settings of rustls. Pingora makes settings of its own from files;
/// what it made is replaced.
fn acceptor(tls: &ServerTls, witness: Witness) -> Acceptor {
    let settings = TlsSettings::with_callbacks(Box::new(witness)).map(|mut settings| {
        settings.set_cert_resolver(Arc::clone(&tls.config().cert_resolver));
        settings.build()
    });
    match settings {
        Ok(mut acceptor) => {
            acceptor.acceptor = TlsAcceptor::from(Arc::clone(tls.config()));
            acceptor
        }
        // Pingora has no reason for an error here, and a type for one.
        Err(_) => Acceptor::from_server_config(Arc::clone(tls.config())),
    }
}

#[async_trait]
impl TlsAccept for Witness {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let certificate = tls.peer_certificate_der().and_then(ClientCertificate::read);
        let certificate = certificate.and_then(|certificate| ShownCertificate::new(&certificate, &self.keys));
        if self.hsts.is_none() && certificate.is_none() {
            return None;
        }
        Some(Arc::new(Secured { hsts: self.hsts.clone(), certificate }))
    }
}

impl ShownCertificate {
    fn new(certificate: &ClientCertificate, keys: &HashMap<String, KeyId>) -> Option<Self> {
        let mut names = [&certificate.subject].into_iter().chain(&certificate.names);
        // All of it is visible ASCII.
        let value = |text: &str| HeaderValue::from_str(text).ok();
        Some(Self {
            subject: value(&certificate.subject)?,
            names: value(&certificate.names.join(","))?,
            fingerprint: value(&certificate.fingerprint)?,
            key: names.find_map(|name| keys.get(name)).copied(),
            not_after: certificate.not_after,
        })
    }
}
