//! A gateway that speaks TLS, and an authority for its certificates.

use std::path::Path;

use servers::{Authority, Identity};

use super::{
    Customer, Fixture, ROUTES,
    process::Gateway,
    tools::{Answer, curl},
};

/// A gateway whose certificates are those of an authority of the test.
pub(crate) struct Edge {
    pub(crate) fixture: Fixture,
    pub(crate) customer: Customer,
    pub(crate) authority: Authority,
}

impl Edge {
    pub(crate) async fn new() -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let authority = Authority::create(fixture.config_file().parent().unwrap(), "ours").unwrap();
        Self { fixture, customer, authority }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.authority.directory()
    }

    pub(crate) fn configure(&self, listeners: &str) {
        self.fixture.configure_listeners(&format!("listeners:\n{listeners}"), ROUTES);
    }

    pub(crate) async fn gateway(&self, listeners: &str) -> Gateway {
        self.configure(listeners);
        let gateway = Gateway::start(&self.fixture.config_file()).await;
        gateway.wait_until_ready().await;
        gateway
    }

    /// A GET of `name` by curl, which trusts the authority.
    pub(crate) async fn get(&self, gateway: &Gateway, name: &str, more: &[&str]) -> Result<Answer, i32> {
        self.get_at(gateway.address.port(), name, more).await
    }

    pub(crate) async fn get_at(&self, port: u16, name: &str, more: &[&str]) -> Result<Answer, i32> {
        let (url, resolve) = (format!("https://{name}:{port}/a"), format!("{name}:{port}:127.0.0.1"));
        let (key, ca) = (format!("X-Api-Key: {}", self.customer.secret.expose()), self.authority.file());
        let ca = ca.to_str().unwrap();
        let arguments = [&["--cacert", ca, "--resolve", &resolve, "-H", &key, &url], more].concat();
        curl(&arguments).await
    }
}

/// A listener on any port with these certificates, and further settings of its section `tls`.
pub(crate) fn listener(identities: &[&Identity], tls: &str, more: &str) -> String {
    let certificate = |identity: &&Identity| {
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        format!("        - {{ certificate_file: {certificate}, key_file: {key} }}\n")
    };
    let certificates: Vec<String> = identities.iter().map(certificate).collect();
    let certificates = certificates.concat();
    format!("  - address: 127.0.0.1:0\n{more}    tls:\n{tls}      certificates:\n{certificates}")
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
