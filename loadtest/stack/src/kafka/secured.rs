//! The listener where clients come in by TLS and password, with a certificate authority and an account of its own.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{StackError, port::free_port};

/// The broker's certificate, the authority's behind it, and the broker's private key.
const KEYSTORE_FILE: &str = "broker.pem";

/// What clients trust.
const AUTHORITY_FILE: &str = "authority.pem";

const USER: &str = "tollgate";

/// The broker is this machine's and lives for minutes.
const PASSWORD: &str = "opensesame";

/// A port where a client sees the broker's certificate and shows a password.
#[derive(Debug)]
pub(super) struct SecuredListener {
    port: u16,
    keystore: PathBuf,
    authority: PathBuf,
}

impl SecuredListener {
    /// Makes the certificates, in `directory`.
    pub(super) fn create(directory: &Path) -> Result<Self, StackError> {
        let (keystore, authority) = (directory.join(KEYSTORE_FILE), directory.join(AUTHORITY_FILE));
        let (broker_pem, authority_pem) =
            certificates().map_err(io::Error::other).map_err(StackError::io("make certificates for Kafka"))?;
        for (file, text) in [(&keystore, broker_pem), (&authority, authority_pem)] {
            fs::write(file, text).map_err(StackError::io(format!("write {}", file.display())))?;
        }
        Ok(Self { port: free_port()?, keystore, authority })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// The account of clients, as the broker's data directory is told.
    pub(super) fn account() -> String {
        format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
    }

    /// What the broker's settings say of it.
    pub(super) fn server_properties(&self) -> String {
        let keystore = self.keystore.display();
        format!(
            "sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.secured.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.secured.ssl.keystore.type=PEM\n\
             listener.name.secured.ssl.keystore.location={keystore}\n"
        )
    }

    /// What a client needs, by librdkafka's names.
    pub(super) fn client_properties(&self) -> BTreeMap<String, String> {
        let authority = self.authority.display().to_string();
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

/// The broker's certificate with its chain and key, and the authority's certificate, in PEM.
fn certificates() -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    // A name of its own, or the broker's certificate would seem to be signed by itself.
    params.distinguished_name.push(DnType::CommonName, "Tollgate test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let broker_key = KeyPair::generate()?;
    let broker = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&broker_key, &authority)?;
    Ok((broker_key.serialize_pem() + &broker.pem() + &authority.pem(), authority.pem()))
}
