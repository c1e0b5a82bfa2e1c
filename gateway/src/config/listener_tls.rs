//! The section `tls` of a listener: its certificates, from files or ordered from an authority, and
//! those of clients.

use std::{
    collections::{BTreeMap, HashMap},
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

use super::{ProcessTls, acme::Authorities, check::Check};

/// Most certificates of a listener.
const CERTIFICATES_MAX: usize = 10_000;

/// The section `tls` of a listener as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTlsFile {
    /// Certificates, found by the name that a client asks for; the first is for all others.
    certificates: Vec<CertificateFile>,
    /// The oldest version that is spoken: `1.2` or `1.3`.
    #[serde(default)]
    min_version: MinVersion,
    /// Certificates of clients.
    client_certificates: Option<ClientCertificatesFile>,
}

/// A certificate from files, or one that is ordered from an authority.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "settings of files are named so everywhere")]
struct CertificateFile {
    /// PEM file with the certificate, and those of authorities between it and the root.
    certificate_file: Option<PathBuf>,
    /// PEM file with the key.
    key_file: Option<PathBuf>,
    /// DER file with what the authority says of its revocation (OCSP), for clients that ask.
    ocsp_file: Option<PathBuf>,
    /// Name of the authority of the section `acme` that the certificate is ordered from, instead of files.
    acme: Option<String>,
    /// Names that the authority is asked to certify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
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

impl Check<'_> {
    /// TLS of a listener for clients.
    pub(super) fn listener_tls(
        &self,
        file: &ListenerTlsFile,
        http2: bool,
        authorities: &Authorities,
    ) -> Option<ServerTls> {
        let count = file.certificates.len();
        if count == 0 || count > CERTIFICATES_MAX {
            let reason = format!("`certificates` needs 1 to {CERTIFICATES_MAX} certificates");
            self.note(self.about("certificates", reason));
            return None;
        }
        let each = || file.certificates.iter().enumerate();
        let one = |(index, file)| self.inside(index, || self.certificate(file, authorities));
        // Each is checked, whatever is wrong with those before it.
        let certificates: Vec<_> = self.inside("certificates", || each().map(one).collect());
        let certificates = certificates.into_iter().collect::<Option<Vec<_>>>()?;
        let challenges = authorities.handshake_challenges(&certificates);
        if !challenges.is_empty() && file.client_certificates.as_ref().is_some_and(|clients| clients.required) {
            let reason = "an authority that asks by tls-alpn-01 has no certificate to show: write `required: false`, or \
                          `challenge: http-01` for the authority";
            self.note(self.about("client_certificates", reason));
        }
        let clients = |file: &ClientCertificatesFile| Clients {
            ca_file: file.ca_file.clone(),
            setting: "ca_file",
            required: file.required,
        };
        let settings = TlsSettings {
            certificates,
            min_version: file.min_version,
            protocols: if http2 { vec!["h2", "http/1.1"] } else { vec!["http/1.1"] },
            clients: file.client_certificates.as_ref().map(clients),
            challenges,
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

    /// The files of a certificate, or of the order that it comes from.
    fn certificate(&self, file: &CertificateFile, authorities: &Authorities) -> Option<CertificateFiles> {
        if let Some(authority) = &file.acme {
            let from_files = [("certificate_file", &file.certificate_file), ("key_file", &file.key_file)];
            for (field, _) in from_files.iter().filter(|(_, path)| path.is_some()) {
                let reason = format!("`{field}` is not for a certificate that is ordered: remove it, or `acme`");
                self.note(self.about(field, reason));
            }
            return self.ordered_certificate(authority, &file.hosts, authorities);
        }
        if !file.hosts.is_empty() {
            self.note(self.about("hosts", "`hosts` belongs to `acme`: the names of a certificate file are in it"));
        }
        let (Some(certificate), Some(key)) = (file.certificate_file.clone(), file.key_file.clone()) else {
            let reason = "a certificate needs `certificate_file` and `key_file`, or `acme` and `hosts`";
            self.note(self.about("", reason));
            return None;
        };
        Some(CertificateFiles { certificate, key, ocsp: file.ocsp_file.clone(), order: None })
    }

    /// The keys that certificates stand for.
    pub(super) fn certificate_keys(&self, file: &ListenerTlsFile) -> HashMap<String, KeyId> {
        let Some(file) = &file.client_certificates else { return HashMap::new() };
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

    /// TLS of the setting `field` on an address where `protocol` is spoken.
    pub(super) fn process_tls(
        &self,
        field: &'static str,
        file: Option<&TlsFile>,
        protocol: &'static str,
    ) -> Option<ProcessTls> {
        self.inside(field, || match ServerTls::load(file?.settings_for(protocol)) {
            Ok(tls) => {
                self.warn_of_expired(&tls);
                Some(ProcessTls(Arc::new(tls)))
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
        for certificate in tls.certificates.iter().filter(|certificate| certificate.files.order.is_none()) {
            let index = tls.settings.certificates.iter().position(|files| *files == certificate.files).unwrap_or(0);
            if certificate.has_expired(now.seconds()) {
                let file = certificate.files.certificate.display().to_string();
                let warn = || self.warn(self.at("certificate_file", &file, "holds a certificate that has expired"));
                self.inside("certificates", || self.inside(index, warn));
            }
        }
    }
}

const fn default_required() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use servers::Authority;

    use super::super::fixture::{parse, told};
    use super::*;

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
