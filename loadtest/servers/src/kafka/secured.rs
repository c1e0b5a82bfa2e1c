//! The listener where clients come in by TLS and password, with a certificate authority and an
//! account of its own.

use std::{collections::BTreeMap, path::Path};

use crate::{certificates::Certificates, error::ServerError, port::free_port};

const USER: &str = "tollgate";

/// The broker is this machine's and lives for minutes.
const PASSWORD: &str = "opensesame";

/// A port where a client sees the broker's certificate and shows a password.
#[derive(Debug)]
pub(super) struct SecuredListener {
    port: u16,
    certificates: Certificates,
}

impl SecuredListener {
    /// Makes the certificates, in `directory`.
    pub(super) fn create(directory: &Path) -> Result<Self, ServerError> {
        let certificates = Certificates::create(directory)?;
        Ok(Self { port: free_port()?, certificates })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// The account of clients, in the form that formatting the data directory takes.
    pub(super) fn account() -> String {
        format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
    }

    /// Lines of the broker's settings for this listener.
    pub(super) fn server_properties(&self) -> String {
        let keystore = self.certificates.server.display();
        format!(
            "sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.secured.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.secured.ssl.keystore.type=PEM\n\
             listener.name.secured.ssl.keystore.location={keystore}\n"
        )
    }

    /// Properties that a client needs, by librdkafka's names.
    pub(super) fn client_properties(&self) -> BTreeMap<String, String> {
        let authority = self.certificates.authority.display().to_string();
        [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", USER),
            ("sasl.password", PASSWORD),
            ("ssl.ca.location", &authority),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}
