//! The settings `listen` and `listeners`: the addresses for clients, with TLS and what else each of
//! them does.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use common::{
    config::quoted,
    id::KeyId,
    time::{Clock as _, SystemClock},
    tls::{CertificateFiles, ClientCertificate, Clients, MinVersion, ServerTls, TlsFault, TlsFile, TlsSettings},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdminTls, check::Check};

/// Most listeners of a gateway.
pub(crate) const LISTENERS_MAX: usize = 32;

/// Most certificates of a listener.
const CERTIFICATES_MAX: usize = 10_000;

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

/// The section `tls` of a listener as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ListenerTlsFile {
    /// Certificates, found by the name that a client asks for; the first is for all others.
    certificates: Vec<CertificateFile>,
    /// The oldest version that is spoken: `1.2` or `1.3`.
    #[serde(default)]
    min_version: MinVersion,
    /// Certificates of clients.
    client_certificates: Option<ClientCertificatesFile>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "settings of files are named so everywhere")]
struct CertificateFile {
    /// PEM file with the certificate, and those of authorities between it and the root.
    certificate_file: PathBuf,
    /// PEM file with the key.
    key_file: PathBuf,
    /// DER file with what the authority says of its revocation (OCSP), for clients that ask.
    ocsp_file: Option<PathBuf>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ClientCertificatesFile {
    /// PEM file with the authorities that vouch for clients.
    ca_file: PathBuf,
    /// True if every client needs one.
    #[serde(default = "default_required")]
    required: bool,
    /// Keys by subject or alternative name of the certificates that stand for them.
    #[serde(default)]
    keys: BTreeMap<String, String>,
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
    pub(super) fn listeners(&self, listen: Option<&String>, file: Option<&Vec<ListenerFile>>) -> Vec<ListenerSettings> {
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
            let Some(listener) = self.inside("listeners", || self.inside(index, || self.client_listener(file))) else {
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

    fn client_listener(&self, file: &ListenerFile) -> Option<ListenerSettings> {
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
            Some(tls) => Some(Arc::new(self.inside("tls", || self.listener_tls(tls, file.http2))?)),
            None => None,
        };
        let clients = file.tls.as_ref().and_then(|tls| tls.client_certificates.as_ref());
        let keys = clients.map(|clients| self.inside("tls", || self.certificate_keys(clients)));
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

    fn listener_tls(&self, file: &ListenerTlsFile, http2: bool) -> Option<ServerTls> {
        let count = file.certificates.len();
        if count == 0 || count > CERTIFICATES_MAX {
            let reason = format!("`certificates` needs 1 to {CERTIFICATES_MAX} certificates");
            self.note(self.about("certificates", reason));
            return None;
        }
        let files = |file: &CertificateFile| CertificateFiles {
            certificate: file.certificate_file.clone(),
            key: file.key_file.clone(),
            ocsp: file.ocsp_file.clone(),
        };
        let clients = |file: &ClientCertificatesFile| Clients {
            ca_file: file.ca_file.clone(),
            setting: "ca_file",
            required: file.required,
        };
        let settings = TlsSettings {
            certificates: file.certificates.iter().map(files).collect(),
            min_version: file.min_version,
            protocols: if http2 { vec!["h2", "http/1.1"] } else { vec!["http/1.1"] },
            clients: file.client_certificates.as_ref().map(clients),
        };
        match ServerTls::load(settings) {
            Ok(tls) => {
                self.warn_of_expired(&tls);
                Some(tls)
            }
            Err(faults) => {
                for fault in &faults {
                    self.tls_fault(fault);
                }
                None
            }
        }
    }

    /// The keys that certificates stand for.
    fn certificate_keys(&self, file: &ClientCertificatesFile) -> HashMap<String, KeyId> {
        let checked = |(name, key): (&String, &String)| {
            if !ClientCertificate::may_be_named(name) {
                let reason = "is neither a subject, as in CN=billing,O=Example, nor an alternative name, as in \
                              dns:client.example.com or uri:spiffe://example/billing";
                self.note(self.about(name, format!("`keys`: {} {reason}", quoted(name))));
            }
            let parsed = key.parse::<KeyId>().map_err(|error| self.about_value(name, key, error.to_string()));
            Some((name.clone(), self.noted(parsed)?))
        };
        let keys = || file.keys.iter().filter_map(checked).collect();
        self.inside("client_certificates", || self.inside("keys", keys))
    }

    /// TLS on the address for operators.
    pub(super) fn admin_tls(&self, file: Option<&TlsFile>) -> Option<AdminTls> {
        self.inside("admin_tls", || match ServerTls::load(file?.settings()) {
            Ok(tls) => {
                self.warn_of_expired(&tls);
                Some(AdminTls(Arc::new(tls)))
            }
            Err(faults) => {
                for fault in &faults {
                    self.tls_fault(fault);
                }
                None
            }
        })
    }

    /// Notes a fault of the files of this section.
    fn tls_fault(&self, fault: &TlsFault) {
        let note = || self.note(self.at(fault.setting, &fault.value, &fault.reason));
        match fault.certificate {
            Some(index) if self.has("certificates") => self.inside("certificates", || self.inside(index, note)),
            _ => note(),
        }
    }

    fn warn_of_expired(&self, tls: &ServerTls) {
        let now = SystemClock.now();
        for (index, certificate) in tls.certificates.iter().enumerate() {
            if certificate.has_expired(now.seconds()) {
                let file = certificate.files.certificate.display().to_string();
                let warn = || self.warn(self.at("certificate_file", &file, "holds a certificate that has expired"));
                self.inside("certificates", || self.inside(index, warn));
            }
        }
    }
}

const fn default_https_port() -> u16 {
    443
}

const fn default_required() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use servers::Authority;

    use super::super::{Overrides, Settings};
    use super::*;

    const REST: &str = "upstreams:\n  demo: { servers: [127.0.0.1:9000] }\n\
                        routes:\n  - { name: all, path_prefix: /, upstream: demo }\n";

    fn parse(section: &str) -> Result<Settings, String> {
        Settings::parse(&format!("{section}{REST}"), "gateway.yaml", &Overrides::default())
            .map_err(|error| error.to_string())
    }

    fn told(section: &str) -> String {
        parse(section).unwrap_err()
    }

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

    #[test]
    fn unusable_certificates_are_told_all_at_once_with_line_and_column() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "ours").unwrap();
        let (one, other) = (authority.sign("one.test").unwrap(), authority.sign("other.test").unwrap());
        let section = format!(
            "listeners:\n  - address: 127.0.0.1:2\n    tls:\n      min_version: 1.1\n      certificates:\n        \
             - certificate_file: {}\n          key_file: {}\n        - certificate_file: /nowhere.pem\n          \
             key_file: {}\n      client_certificates:\n        ca_file: /nobody.pem\n",
            one.certificate.display(),
            other.key.display(),
            one.key.display(),
        );
        let version = told(&section);
        assert!(version.contains("gateway.yaml:4:20: ") && version.contains("write 1.2 or 1.3"), "{version}");
        let files = told(&section.replace("1.1", "1.3"));
        for fault in ["7:21: `key_file`: ", "8:29: `certificate_file`: ", "11:18: `ca_file`: "] {
            assert!(files.contains(&format!("gateway.yaml:{fault}")), "{fault} in {files}");
        }
    }

    #[test]
    fn certificates_stand_for_keys_by_subject_or_alternative_name() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "ours").unwrap();
        let identity = authority.sign("a.test").unwrap();
        let with_keys = |keys: &str| {
            let section = format!(
                "listeners:\n  - address: 127.0.0.1:2\n    tls:\n      certificates:\n        - certificate_file: {}\n          \
                 key_file: {}\n      client_certificates:\n        ca_file: {}\n        keys:\n{keys}",
                identity.certificate.display(),
                identity.key.display(),
                authority.file().display(),
            );
            parse(&section)
        };
        let key = KeyId::from_u128(7);
        let good = with_keys(&format!("          'CN=a,O=b': {key}\n          'uri:spiffe://a/b': {key}\n")).unwrap();
        let keys = &good.listeners[0].certificate_keys;
        assert_eq!((keys.get("CN=a,O=b"), keys.get("uri:spiffe://a/b"), keys.len()), (Some(&key), Some(&key), 2));
        let bad = with_keys(&format!("          partner: {key}\n          'CN=a': ten_1\n")).unwrap_err();
        assert!(bad.contains("gateway.yaml:10:20: `keys`: `partner` is neither a subject"), "{bad}");
        assert!(bad.contains("gateway.yaml:11:19: `ten_1` is not a key id"), "{bad}");
    }

    #[test]
    fn expired_certificate_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "ours").unwrap();
        let expired = authority.sign_expired("old.test").unwrap();
        let section = format!(
            "listeners:\n  - address: 127.0.0.1:2\n    tls:\n      certificates:\n        - certificate_file: {}\n          \
             key_file: {}\n",
            expired.certificate.display(),
            expired.key.display(),
        );
        let warnings = parse(&section).unwrap().warnings;
        assert_eq!((warnings.len(), warnings[0].place.line, warnings[0].place.column), (1, 5, 29));
        assert!(warnings[0].reason.contains("has expired"));
    }
}
