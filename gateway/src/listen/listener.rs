//! The addresses that clients connect to, each with the settings that are in force there.
//!
//! The sockets stay for as long as the process; everything else about a listener is replaced in
//! place, and counts for the connections that are accepted from then on.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use common::tls::{Following, ServerTls};
use pingora_core::protocols::Stream;

use super::{handshake::Handshake, socket::Socket};
use crate::config::ListenerSettings;

/// First byte of a handshake of TLS.
const HANDSHAKE: u8 = 0x16;

/// All listeners of the process.
pub(crate) struct Listeners(Vec<Arc<Listener>>);

/// An address that clients connect to.
pub(crate) struct Listener {
    address: SocketAddr,
    edge: ArcSwap<Edge>,
}

/// The settings in force on a listener.
pub(crate) struct Edge {
    pub(crate) settings: ListenerSettings,
    tls: Option<Tls>,
}

/// The outcome of opening a connection.
pub(crate) enum Opened {
    /// Requests are read from it.
    Ready(Stream),
    /// Nothing more is said: the client has closed it and sent nothing, or the handshake was all that
    /// it wanted.
    Unused,
    /// The client does not speak TLS, and has to.
    NotTls(Socket),
}

struct Tls {
    handshake: Arc<ArcSwap<Handshake>>,
    _following: Arc<Following>,
}

impl Listeners {
    /// A listener for each of the settings. Their certificates are followed on the runtime that
    /// this is called on.
    pub(crate) fn start(settings: &[ListenerSettings]) -> Self {
        let listener = |settings: &ListenerSettings| {
            let edge = ArcSwap::from_pointee(Edge::new(settings.clone()));
            Arc::new(Listener { address: settings.address, edge })
        };
        Self(settings.iter().map(listener).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.0.iter()
    }

    /// Puts changed settings into force on the listeners that there are. A listener whose address
    /// is not in the settings any more keeps those that it has.
    pub(crate) fn apply(&self, settings: &[ListenerSettings]) {
        let mut unused: Vec<&ListenerSettings> = settings.iter().collect();
        for listener in &self.0 {
            let Some(found) = unused.iter().position(|settings| settings.address == listener.address) else {
                continue;
            };
            let settings = unused.remove(found);
            if listener.edge.load().settings != *settings {
                listener.edge.store(Arc::new(Edge::new(settings.clone())));
            }
        }
    }
}

impl Listener {
    /// The settings in force.
    pub(crate) fn edge(&self) -> Arc<Edge> {
        self.edge.load_full()
    }
}

impl Edge {
    fn new(settings: ListenerSettings) -> Self {
        let tls = settings.tls.clone().map(|tls| Tls::new(&tls, &settings));
        Self { settings, tls }
    }

    /// Returns true if requests begin with the first byte of a connection.
    pub(crate) const fn is_bare(&self) -> bool {
        self.tls.is_none() && !self.settings.proxy_protocol
    }

    /// Returns true if clients may begin with HTTP/2: over TLS, they say in the handshake which
    /// protocol they speak. `anywhere`: on every listener that does not forbid it.
    pub(crate) const fn takes_http2_without_tls(&self, anywhere: bool) -> bool {
        let ListenerSettings { http2, redirect_port, .. } = &self.settings;
        self.tls.is_none() && redirect_port.is_none() && (anywhere || *http2)
    }

    /// Shakes hands, if TLS is spoken here.
    pub(crate) async fn open(&self, mut socket: Socket) -> pingora_core::Result<Opened> {
        let Some(tls) = &self.tls else {
            return Ok(Opened::Ready(Box::new(socket)));
        };
        match socket.first_byte().await {
            Ok(Some(HANDSHAKE)) => {
                let opened = tls.handshake.load_full().shake_hands(socket).await?;
                Ok(opened.map_or(Opened::Unused, Opened::Ready))
            }
            Ok(Some(_)) => Ok(Opened::NotTls(socket)),
            Ok(None) | Err(_) => Ok(Opened::Unused),
        }
    }
}

impl Tls {
    fn new(tls: &ServerTls, settings: &ListenerSettings) -> Self {
        let handshake = Arc::new(ArcSwap::from_pointee(Handshake::new(tls, settings)));
        let (in_force, kept) = (Arc::clone(&handshake), settings.clone());
        let replace = move |tls: &ServerTls| in_force.store(Arc::new(Handshake::new(tls, &kept)));
        Self { handshake, _following: Following::start(settings.address.to_string(), tls.clone(), replace) }
    }
}
