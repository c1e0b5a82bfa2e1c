//! The section `acme`: authorities that certificates of listeners are ordered from.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use common::tls::{CertificateFiles, CertificateOrder, ClientTls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ListenerSettings,
    check::{Check, NAME_RULE, is_name},
};
use crate::certificate::{AuthoritySettings, Challenge, ExternalAccount, HOSTS_MAX, Storage};

/// Longest name of a host, in bytes, and longest part of one.
const HOST_MAX_BYTES: usize = 253;
const LABEL_MAX_BYTES: usize = 63;

/// An authority as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorityFile {
    /// URL of the authority's directory.
    directory: String,
    /// True if you agree to the authority's terms of service; nothing is ordered without.
    agree_to_terms: bool,
    /// Mail addresses that the authority may write to.
    #[serde(default)]
    contact: Vec<String>,
    /// Folder of the account, its key and the certificates; must survive restarts. Gateways may share it.
    #[serde(default = "default_storage")]
    storage: PathBuf,
    /// The way in which names are proved.
    #[serde(default)]
    challenge: ChallengeFile,
    /// The kind of certificate, as the authority calls it; the authority's own choice unless set.
    profile: Option<String>,
    /// PEM file with the authorities that vouch for the directory's server; those of the system unless set.
    ca_file: Option<PathBuf>,
    /// The customer of the authority that the account is bound to.
    external_account: Option<ExternalAccountFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
enum ChallengeFile {
    /// A request without TLS, which the authority sends to port 80.
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// A handshake of TLS, on port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ExternalAccountFile {
    /// Identifier of the key that the authority has given out.
    key_id: String,
    /// File with that key, in base64url.
    key_file: PathBuf,
}

/// The authorities of the file, by name.
pub(super) struct Authorities(BTreeMap<String, AuthoritySettings>);

impl Authorities {
    /// The folders with answers to the handshakes of those authorities that these certificates are
    /// ordered from.
    pub(super) fn handshake_challenges(&self, certificates: &[CertificateFiles]) -> Vec<PathBuf> {
        let orders = certificates.iter().filter_map(|files| files.order.as_ref());
        let folder = |order: &CertificateOrder| self.0.get(&*order.authority)?.challenges(Challenge::TlsAlpn01);
        orders.filter_map(folder).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Check<'_> {
    pub(super) fn authorities(&self, files: &BTreeMap<String, AuthorityFile>) -> Authorities {
        let one = |(name, file): (&String, &AuthorityFile)| {
            (name.clone(), self.inside(name.as_str(), || self.authority(name, file)))
        };
        Authorities(files.iter().map(one).collect())
    }

    fn authority(&self, name: &str, file: &AuthorityFile) -> AuthoritySettings {
        if !is_name(name) {
            self.note(self.about("", NAME_RULE));
        }
        let is_url = reqwest::Url::parse(&file.directory).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        if !is_url {
            self.note(self.at("directory", &file.directory, "is not an https:// URL"));
        }
        if !file.agree_to_terms {
            let reason = "`agree_to_terms` is false: read the authority's terms of service, and write true";
            self.note(self.about("agree_to_terms", reason));
        }
        for contact in file.contact.iter().filter(|contact| !is_mail(contact)) {
            self.note(self.at("contact", contact, "is not a mail address: write it as in ops@example.com"));
        }
        if file.storage.exists() && !file.storage.is_dir() {
            self.note(self.at("storage", &shown(&file.storage), "is not a folder"));
        }
        let tls = ClientTls { ca_file: file.ca_file.clone(), identity: None };
        if let Err(fault) = tls.load() {
            self.note(self.at("ca_file", &fault.value, &fault.reason));
        }
        let external = file.external_account.as_ref();
        let challenge = match file.challenge {
            ChallengeFile::Http01 => Challenge::Http01,
            ChallengeFile::TlsAlpn01 => Challenge::TlsAlpn01,
        };
        AuthoritySettings {
            name: name.into(),
            directory: file.directory.clone(),
            contact: file.contact.iter().map(|contact| format!("mailto:{contact}")).collect(),
            storage: file.storage.clone(),
            challenge,
            profile: file.profile.clone(),
            ca_file: file.ca_file.clone(),
            external_account: external.map(|file| self.inside("external_account", || self.external_account(file))),
            orders: Vec::new(),
        }
    }

    fn external_account(&self, file: &ExternalAccountFile) -> ExternalAccount {
        let account = ExternalAccount { key_id: file.key_id.clone(), key_file: file.key_file.clone() };
        if account.key_id.trim().is_empty() {
            self.note(self.about("key_id", "`key_id` is empty"));
        }
        if let Err(reason) = account.read_key() {
            self.note(self.about("key_file", format!("`key_file`: {reason}")));
        }
        account
    }

    /// The files of a certificate that is ordered from an authority.
    pub(super) fn ordered_certificate(
        &self,
        authority: &str,
        hosts: &[String],
        authorities: &Authorities,
    ) -> Option<CertificateFiles> {
        if hosts.is_empty() || hosts.len() > HOSTS_MAX {
            self.note(self.about("hosts", format!("`hosts` needs 1 to {HOSTS_MAX} names")));
        }
        let lower: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        for (index, host) in hosts.iter().enumerate() {
            if host.starts_with("*.") {
                let reason = "has a wildcard, which no challenge here can prove: name each host, or use \
                              `certificate_file`";
                self.note(self.at("hosts", host, reason));
            } else if !is_host(host) {
                self.note(self.at("hosts", host, "is not the name of a host: write it as in api.example.com"));
            } else if lower[..index].contains(&lower[index]) {
                self.note(self.at("hosts", host, "is named twice"));
            }
        }
        let Some(settings) = authorities.0.get(authority) else {
            self.note(self.at("acme", authority, "is not defined in the section `acme`"));
            return None;
        };
        if lower.is_empty() {
            return None;
        }
        let file = Storage::new(&settings.storage, &settings.directory).certificate_file(&lower);
        let order = CertificateOrder { authority: Arc::clone(&settings.name), hosts: lower };
        Some(CertificateFiles { certificate: file.clone(), key: file, ocsp: None, order: Some(order) })
    }

    /// The authorities with the certificates that the listeners order from them.
    pub(super) fn orders(
        &self,
        authorities: Authorities,
        listeners: &[ListenerSettings],
    ) -> Vec<Arc<AuthoritySettings>> {
        let tls = || listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let ordered =
            || tls().flat_map(|tls| tls.settings.certificates.iter().filter_map(|files| files.order.as_ref()));
        let has_plain = listeners.iter().any(|listener| listener.tls.is_none());
        let with_orders = |(name, mut settings): (String, AuthoritySettings)| {
            for order in ordered().filter(|order| *order.authority == name) {
                if !settings.orders.contains(&order.hosts) {
                    settings.orders.push(order.hosts.clone());
                }
            }
            let is_plain_needed = settings.challenge == Challenge::Http01 && !settings.orders.is_empty();
            if is_plain_needed && !has_plain {
                let reason = "`challenge: http-01` is asked for at port 80, and no listener is without `tls`";
                self.inside("acme", || self.inside(name.as_str(), || self.warn(self.about("challenge", reason))));
            }
            Arc::new(settings)
        };
        authorities.0.into_iter().map(with_orders).collect()
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn is_mail(text: &str) -> bool {
    let is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"@,?:<>".contains(&byte));
    text.split_once('@').is_some_and(|(user, host)| is_plain(user) && is_plain(host))
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_MAX_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    text.len() <= HOST_MAX_BYTES && !is_address && text.contains('.') && text.split('.').all(is_label)
}

fn default_storage() -> PathBuf {
    "data/acme".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::parse;

    #[test]
    fn listeners_share_an_authority_and_order_each_certificate_once() {
        let text = "\
acme:
  ours: { directory: 'https://ca.test/dir', agree_to_terms: true, contact: [ops@a.test], storage: /nowhere, challenge: tls-alpn-01 }
listeners:
  - address: 127.0.0.1:1
    tls: { certificates: [{ acme: ours, hosts: [A.test, b.test] }] }
  - address: 127.0.0.1:2
    tls: { certificates: [{ acme: ours, hosts: [a.test, b.test] }, { acme: ours, hosts: [c.test] }] }
";
        let settings = parse(text).unwrap();
        let authority = &settings.authorities[0];
        assert_eq!((&*authority.name, authority.challenge), ("ours", Challenge::TlsAlpn01));
        assert_eq!(authority.contact, ["mailto:ops@a.test"]);
        assert_eq!(authority.orders, [vec!["a.test".to_owned(), "b.test".into()], vec!["c.test".into()]]);
        let tls = |index: usize| settings.listeners[index].tls.as_ref().unwrap();
        assert_eq!(tls(0).settings.certificates[0], tls(1).settings.certificates[0]);
        assert_eq!((tls(0).certificates.len(), tls(0).settings.challenges.len()), (0, 1));
        assert!(settings.warnings.is_empty());
        let by_http = parse(&text.replace("tls-alpn-01", "http-01")).unwrap();
        assert!(by_http.warnings[0].reason.contains("no listener is without `tls`"));
        assert!(by_http.listeners[0].tls.as_ref().unwrap().settings.challenges.is_empty());
    }

    #[test]
    fn faults_are_told_all_at_once_with_their_lines() {
        let told = parse(
            "\
acme:
  ours:
    directory: http://ca.test/dir
    agree_to_terms: false
    contact: [ops]
    ca_file: /nowhere.pem
    external_account: { key_id: '', key_file: /nowhere.key }
    challenge: tls-alpn-01
listeners:
  - address: 127.0.0.1:1
    tls:
      certificates:
        - { acme: theirs, hosts: [a.test] }
        - { acme: ours }
        - acme: ours
          hosts: ['*.a.test', 10.0.0.1, b.test, B.test, localhost]
        - { hosts: [a.test] }
        - { acme: ours, hosts: [c.test], certificate_file: a.pem }
",
        )
        .unwrap_err();
        for (line, reason) in [
            (3, "is not an https:// URL"),
            (4, "read the authority's terms of service"),
            (5, "`ops` is not a mail address"),
            (6, "`ca_file`: `/nowhere.pem` cannot be read"),
            (7, "`key_id` is empty"),
            (7, "`key_file`: `/nowhere.key` cannot be read"),
            (13, "`theirs` is not defined in the section `acme`"),
            (14, "`hosts` needs 1 to 100 names"),
            (16, "`*.a.test` has a wildcard"),
            (16, "`10.0.0.1` is not the name of a host"),
            (16, "`B.test` is named twice"),
            (16, "`localhost` is not the name of a host"),
            (17, "`hosts` belongs to `acme`"),
            (17, "a certificate needs `certificate_file` and `key_file`, or `acme` and `hosts`"),
            (18, "`certificate_file` is not for a certificate that is ordered"),
        ] {
            let is_told =
                told.lines().any(|one| one.starts_with(&format!("gateway.yaml:{line}:")) && one.contains(reason));
            assert!(is_told, "{line} {reason}\n{told}");
        }
    }

    #[test]
    fn authority_that_asks_by_handshake_needs_no_certificate_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let authority = servers::Authority::create(directory.path(), "ours").unwrap();
        let text = format!(
            "acme: {{ ours: {{ directory: 'https://ca.test/dir', agree_to_terms: true, challenge: tls-alpn-01 }} }}\n\
             listeners:\n  - address: 127.0.0.1:1\n    tls:\n      certificates: [{{ acme: ours, hosts: [a.test] }}]\n      \
             client_certificates: {{ ca_file: {}, required: true }}\n",
            authority.file().display()
        );
        assert!(parse(&text).unwrap_err().contains("has no certificate to show"));
        assert!(parse(&text.replace("required: true", "required: false")).is_ok());
    }
}
