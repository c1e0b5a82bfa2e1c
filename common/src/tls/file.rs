//! TLS of a listener with one certificate, as configuration files write it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CertificateFiles, Clients, MinVersion, TlsSettings};

/// The section `tls` of a listener that has one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TlsFile {
    /// The certificate, and behind it those of its issuers.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authority's answer about its revocation (OCSP, DER), for clients that ask.
    pub ocsp_file: Option<PathBuf>,
    /// Authorities that vouch for clients; clients need no certificate if none.
    pub client_ca_file: Option<PathBuf>,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: MinVersion,
}

impl<'de> Deserialize<'de> for MinVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err(serde::de::Error::custom(format!("`{text}` is not a version of TLS: write 1.2 or 1.3"))),
        }
    }
}

impl Serialize for MinVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for MinVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MinVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["1.2", "1.3", 1.2, 1.3] })
    }
}

impl TlsFile {
    /// The settings of a listener that speaks HTTP/1.1.
    pub fn settings(&self) -> TlsSettings {
        self.settings_for("http/1.1")
    }

    /// The settings of a listener that speaks this protocol, as the handshake names it (ALPN).
    pub fn settings_for(&self, protocol: &'static str) -> TlsSettings {
        let required =
            |ca_file: &PathBuf| Clients { ca_file: ca_file.clone(), setting: "client_ca_file", required: true };
        TlsSettings {
            certificates: vec![CertificateFiles {
                certificate: self.certificate_file.clone(),
                key: self.key_file.clone(),
                ocsp: self.ocsp_file.clone(),
                order: None,
            }],
            min_version: self.min_version,
            protocols: vec![protocol],
            clients: self.client_ca_file.as_ref().map(required),
            challenges: Vec::new(),
        }
    }
}
