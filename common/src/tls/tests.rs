//! Certificates from files: what is refused, and which one a client gets.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use servers::{Authority, Identity};
use tempfile::TempDir;

use super::*;

struct Fixture {
    directory: TempDir,
    authority: Authority,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "ours").unwrap();
        Self { directory, authority }
    }

    fn files(&self, name: &str) -> CertificateFiles {
        files(&self.authority.sign(name).unwrap())
    }

    fn write(&self, name: &str, parts: &[&Path]) -> std::path::PathBuf {
        let path = self.directory.path().join(name);
        let text: Vec<String> = parts.iter().map(|part| fs::read_to_string(part).unwrap()).collect();
        fs::write(&path, text.concat()).unwrap();
        path
    }

    /// A client that trusts the authority.
    fn client(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority.file()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_file_iter(&identity.certificate).unwrap().map(Result::unwrap);
                let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
                builder.with_client_auth_cert(chain.collect(), key).unwrap()
            }
        }
    }
}

fn files(identity: &Identity) -> CertificateFiles {
    CertificateFiles { certificate: identity.certificate.clone(), key: identity.key.clone(), ocsp: None, order: None }
}

fn settings(certificates: Vec<CertificateFiles>) -> TlsSettings {
    TlsSettings {
        certificates,
        min_version: MinVersion::Tls12,
        protocols: vec!["http/1.1"],
        clients: None,
        challenges: Vec::new(),
    }
}

fn serve(certificates: Vec<CertificateFiles>) -> ServerTls {
    ServerTls::load(settings(certificates)).unwrap()
}

fn faults(certificates: Vec<CertificateFiles>) -> String {
    let faults = ServerTls::load(settings(certificates)).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A handshake in memory. Gives the certificate that the client got, and whether it resumed a
/// session.
fn shake_hands(server: &ServerTls, client: &Arc<ClientConfig>, name: &str) -> Result<(Vec<u8>, bool), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server.config()))?;
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    while client.wants_write() || server.wants_write() {
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        let mut bytes = to_server.as_slice();
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets()?;
        }
        to_server.clear();
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        let mut bytes = to_client.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets()?;
        }
        to_client.clear();
    }
    let certificate = client.peer_certificates().unwrap()[0].to_vec();
    Ok((certificate, client.handshake_kind() == Some(HandshakeKind::Resumed)))
}

fn der(files: &CertificateFiles) -> Vec<u8> {
    CertificateDer::from_pem_file(&files.certificate).unwrap().to_vec()
}

#[test]
fn client_gets_certificate_of_exact_name_then_wildcard_then_first() {
    let fixture = Fixture::new();
    let (first, exact, wildcard) =
        (fixture.files("first.test"), fixture.files("Exact.example.test"), fixture.files("*.example.test"));
    let server = serve(vec![first.clone(), exact.clone(), wildcard.clone()]);
    let certificate = |name: &str| server_choice(&server, name);
    assert_eq!(certificate("exact.example.test"), der(&exact));
    assert_eq!(certificate("EXACT.example.test"), der(&exact));
    assert_eq!(certificate("other.example.test"), der(&wildcard));
    assert_eq!(certificate("first.test"), der(&first));
    // One label only, and never the name itself.
    assert_eq!(certificate("a.b.example.test"), der(&first));
    assert_eq!(certificate("example.test"), der(&first));
    assert_eq!(certificate("127.0.0.1"), der(&first));
}

/// The certificate that a client gets that trusts everybody.
fn server_choice(server: &ServerTls, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    match name {
        ServerName::DnsName(name) => shake_hands(server, &Arc::new(config), name.as_ref()).unwrap().0,
        _ => shake_hands(server, &Arc::new(config), "127.0.0.1").unwrap().0,
    }
}

#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn unusable_files_are_told_with_setting_and_reason() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.files("one.test"), fixture.files("other.test"));
    let with = |certificate: &Path, key: &Path| CertificateFiles {
        certificate: certificate.into(),
        key: key.into(),
        ocsp: None,
        order: None,
    };
    let told = |certificate: &Path, key: &Path| faults(vec![with(certificate, key)]);
    let missing = fixture.directory.path().join("missing");
    assert!(told(&missing, &one.key).starts_with("`certificate_file`: "));
    assert!(
        told(&one.certificate, &missing).contains("`key_file`: ")
            && told(&one.certificate, &missing).contains("cannot be read")
    );
    assert!(told(&one.key, &one.key).contains("holds no certificate"));
    assert!(told(&one.certificate, &one.certificate).contains("holds no private key"));
    assert!(told(&one.certificate, &other.key).contains("does not belong to the certificate in"));
    let ca = fixture.authority.file();
    let reversed = fixture.write("reversed.pem", &[&ca, &one.certificate]);
    assert!(told(&reversed, &one.key).contains("number 2 in"), "{}", told(&reversed, &one.key));
    let unrelated = fixture.write("unrelated.pem", &[&one.certificate, &other.certificate]);
    assert!(told(&unrelated, &one.key).contains("number 2 is not the issuer of number 1"));
    let whole = fixture.write("whole.pem", &[&one.certificate, &ca]);
    assert!(ServerTls::load(settings(vec![with(&whole, &one.key)])).is_ok());
    let all = faults(vec![with(&missing, &one.key), with(&one.certificate, &other.key)]);
    assert!(all.contains("cannot be read") && all.contains("does not belong"), "{all}");
}

#[test]
fn two_certificates_for_one_name_are_refused() {
    let fixture = Fixture::new();
    let first = fixture.files("same.test");
    let second = {
        let other = Authority::create(fixture.directory.path(), "others").unwrap();
        files(&other.sign("SAME.test").unwrap())
    };
    let refused = ServerTls::load(settings(vec![first, second])).unwrap_err();
    assert_eq!(refused[0].certificate, Some(1));
    assert!(refused[0].reason.contains("second certificate for same.test"), "{}", refused[0]);
}

#[test]
fn expired_certificate_is_served_and_known_as_expired() {
    let fixture = Fixture::new();
    let server = serve(vec![files(&fixture.authority.sign_expired("old.test").unwrap())]);
    assert!(server.certificates[0].has_expired(1_700_000_000));
    assert!(!server.certificates[0].has_expired(1_600_000_000));
}

#[test]
fn session_is_resumed_after_certificates_were_replaced() {
    let fixture = Fixture::new();
    let certificate = fixture.files("a.test");
    let server = serve(vec![certificate]);
    let client = Arc::new(fixture.client(None));
    assert!(!shake_hands(&server, &client, "a.test").unwrap().1);
    assert!(shake_hands(&server, &client, "a.test").unwrap().1);
    fixture.files("a.test");
    let replaced = server.reload().unwrap();
    assert_ne!(replaced.digest(), server.digest());
    assert!(shake_hands(&replaced, &client, "a.test").unwrap().1);
}

#[test]
fn session_of_client_is_not_resumed_after_its_authority_was_replaced() {
    let fixture = Fixture::new();
    let authorities = fixture.directory.path().join("clients.pem");
    fs::copy(fixture.authority.file(), &authorities).unwrap();
    let clients = Clients { ca_file: authorities.clone(), setting: "ca_file", required: true };
    let settings = TlsSettings { clients: Some(clients), ..settings(vec![fixture.files("a.test")]) };
    let server = ServerTls::load(settings).unwrap();
    let identity = fixture.authority.sign("client.test").unwrap();
    let client = Arc::new(fixture.client(Some(&identity)));
    assert!(!shake_hands(&server, &client, "a.test").unwrap().1);
    assert!(shake_hands(&server, &client, "a.test").unwrap().1);
    let other = Authority::create(fixture.directory.path(), "others").unwrap();
    fs::copy(other.file(), &authorities).unwrap();
    assert!(shake_hands(&server.reload().unwrap(), &client, "a.test").is_err());
}

#[test]
fn client_certificate_is_read_as_text() {
    let fixture = Fixture::new();
    let identity = fixture.authority.sign("client.test").unwrap();
    let der = CertificateDer::from_pem_file(&identity.certificate).unwrap();
    let read = ClientCertificate::read(&der).unwrap();
    assert_eq!(read.names, ["dns:client.test"]);
    assert_eq!(read.fingerprint.len(), 64);
    assert!(read.subject.starts_with("CN="), "{}", read.subject);
    assert!(ClientCertificate::read(&der[..der.len() / 2]).is_none());
}
