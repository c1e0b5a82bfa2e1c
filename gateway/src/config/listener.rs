//! The settings `listen` and `listeners`: the addresses for clients, with TLS and what else each of
//! them does.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use common::{id::KeyId, tls::ServerTls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{acme::Authorities, check::Check, listener_tls::ListenerTlsFile};

/// Most listeners of a gateway.
pub(crate) const LISTENERS_MAX: usize = 32;

/// Longest time for which browsers may remember to use HTTPS: ten years.
const HSTS_MAX_SECONDS: u64 = 315_360_000;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";

/// A listener as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerFile {
    /// IP and port.
    address: String,
    /// TLS; plain unless set.
    tls: Option<ListenerTlsFile>,
    /// True if requests are redirected to `https://`.
    #[serde(default)]
    redirect_to_https: bool,
    /// Port of the URL that they are redirected to.
    #[serde(default = "default_https_port")]
    redirect_port: u16,
    /// Time for which browsers use `https://` only (Strict-Transport-Security).
    hsts_seconds: Option<u64>,
    /// True if connections of trusted proxies begin with the PROXY protocol, v1 or v2.
    #[serde(default)]
    proxy_protocol: bool,
    /// True if HTTP/2 is offered by ALPN.
    #[serde(default)]
    http2: bool,
}

/// An address for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Its address. Port 0 stands for any port that is free.
    pub address: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<ServerTls>>,
    /// Keys that certificates of clients stand for, by subject or alternative name.
    pub certificate_keys: Arc<HashMap<String, KeyId>>,
    /// Port of the HTTPS address that clients are sent to instead of being served.
    pub redirect_port: Option<u16>,
    /// Seconds for which browsers are told to use HTTPS only.
    pub hsts_seconds: Option<u64>,
    /// True if trusted proxies name their client in a PROXY header before anything else.
    pub proxy_protocol: bool,
    /// True if HTTP/2 is spoken beside HTTP/1.1: offered in the handshake of TLS, or without TLS
    /// to clients that begin with it.
    pub http2: bool,
}

impl ListenerSettings {
    /// A listener without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            certificate_keys: Arc::default(),
            redirect_port: None,
            hsts_seconds: None,
            proxy_protocol: false,
            http2: false,
        }
    }
}

impl Check<'_> {
    /// The listeners, of which there is at least one.
    pub(super) fn listeners(
        &self,
        listen: Option<&String>,
        file: Option<&Vec<ListenerFile>>,
        authorities: &Authorities,
    ) -> Vec<ListenerSettings> {
        let Some(file) = file else {
            let address = listen.map_or(DEFAULT_ADDRESS, String::as_str);
            return self.noted(self.address("listen", address)).map(ListenerSettings::plain).into_iter().collect();
        };
        if listen.is_some() {
            let reason = "`listen` is the short form of `listeners`: remove one of them";
            self.note(self.about("listen", reason));
        }
        if file.is_empty() || file.len() > LISTENERS_MAX {
            self.note(self.about("listeners", format!("`listeners` needs 1 to {LISTENERS_MAX} listeners")));
        }
        let mut listeners: Vec<ListenerSettings> = Vec::new();
        for (index, file) in file.iter().enumerate() {
            let Some(listener) =
                self.inside("listeners", || self.inside(index, || self.client_listener(file, authorities)))
            else {
                continue;
            };
            let address = listener.address;
            if address.port() != 0 && listeners.iter().any(|other| other.address == address) {
                let told = || self.note(self.at("address", &file.address, "is the address of another listener"));
                self.inside("listeners", || self.inside(index, told));
            }
            listeners.push(listener);
        }
        listeners
    }

    fn client_listener(&self, file: &ListenerFile, authorities: &Authorities) -> Option<ListenerSettings> {
        let address = self.noted(self.address("address", &file.address));
        if file.tls.is_none() && file.hsts_seconds.is_some() {
            self.note(self.about("hsts_seconds", "`hsts_seconds` needs `tls`: without it, browsers ignore the header"));
        }
        if file.redirect_to_https && (file.tls.is_some() || file.http2) {
            let reason = "`redirect_to_https` is for a listener without `tls` and `http2`: it serves nothing else";
            self.note(self.about("redirect_to_https", reason));
        }
        if file.redirect_port == 0 {
            self.note(self.at("redirect_port", "0", "is not a port: write 1 to 65535"));
        }
        let hsts = file.hsts_seconds.map(|seconds| self.within("hsts_seconds", seconds, 0, HSTS_MAX_SECONDS));
        let tls = match &file.tls {
            Some(tls) => Some(Arc::new(self.inside("tls", || self.listener_tls(tls, file.http2, authorities))?)),
            None => None,
        };
        let keys = file.tls.as_ref().map(|tls| self.inside("tls", || self.certificate_keys(tls)));
        Some(ListenerSettings {
            address: address?,
            tls,
            certificate_keys: Arc::new(keys.unwrap_or_default()),
            redirect_port: file.redirect_to_https.then_some(file.redirect_port),
            hsts_seconds: hsts.and_then(|seconds| self.noted(seconds)),
            proxy_protocol: file.proxy_protocol,
            http2: file.http2,
        })
    }
}

const fn default_https_port() -> u16 {
    443
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{parse, told};
    use super::*;

    #[test]
    fn short_form_is_one_listener_without_tls() {
        let listeners = |section: &str| parse(section).unwrap().listeners;
        let plain = |address: &str| vec![ListenerSettings::plain(address.parse().unwrap())];
        assert_eq!(listeners(""), plain("127.0.0.1:8080"));
        assert_eq!(listeners("listen: 127.0.0.1:1\n"), plain("127.0.0.1:1"));
        assert_eq!(listeners("listeners: [{ address: '127.0.0.1:1' }]\n"), plain("127.0.0.1:1"));
    }

    #[test]
    fn contradictions_are_told_with_line_and_column() {
        let both = told("listen: 127.0.0.1:1\nlisteners:\n  - address: 127.0.0.1:2\n");
        assert!(both.starts_with("gateway.yaml:1:9: `listen` is the short form"), "{both}");
        let twice = told("listeners:\n  - address: 127.0.0.1:2\n  - address: 127.0.0.1:2\n");
        assert!(twice.starts_with("gateway.yaml:3:14: ") && twice.contains("another listener"), "{twice}");
        let admin = told("admin: 127.0.0.1:2\nlisteners:\n  - address: 127.0.0.1:2\n");
        assert!(admin.contains("gateway.yaml:1:8: "), "{admin}");
        let hsts = told("listeners:\n  - address: 127.0.0.1:2\n    hsts_seconds: 1\n");
        assert!(hsts.starts_with("gateway.yaml:3:19: `hsts_seconds` needs `tls`"), "{hsts}");
        let redirect = told("listeners:\n  - { address: 127.0.0.1:2, http2: true, redirect_to_https: true }\n");
        assert!(redirect.contains("it serves nothing else"), "{redirect}");
        assert!(told("listeners: []\n").contains("needs 1 to 32 listeners"));
    }
}
