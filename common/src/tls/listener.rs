//! TLS of a listener that has the certificates which its files have now.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::{Following, ServerTls};

/// TLS of a listener, with the certificates that its files have now.
#[derive(Clone)]
pub struct ListenerTls {
    in_force: Arc<RwLock<Arc<ServerConfig>>>,
    _following: Arc<Following>,
}

impl ListenerTls {
    /// Follows the files of `tls` on the runtime that this is called on. `listener` is named in
    /// logs.
    pub fn start(listener: &str, tls: &ServerTls) -> Self {
        let in_force = Arc::new(RwLock::new(Arc::clone(tls.config())));
        let replaced = Arc::clone(&in_force);
        let replace = move |tls: &ServerTls| {
            *replaced.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(tls.config());
        };
        Self { in_force, _following: Following::start(listener.to_owned(), tls.clone(), replace) }
    }

    /// Accepts a handshake with the certificates in force.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
