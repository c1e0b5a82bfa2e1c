//! Certificates for servers and clients on this machine, in PEM files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::error::ServerError;

/// A certificate authority of a test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
    name: String,
}

/// A certificate and its key, each in a PEM file.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A server's certificate and the authority behind it, in files.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The server's private key, its certificate and the authority's.
    pub(crate) server: PathBuf,
    /// The authority's certificate, which clients trust.
    pub(crate) authority: PathBuf,
}

impl Authority {
    /// Makes an authority, with its certificate in `<name>.pem` of `directory`.
    pub fn create(directory: &Path, name: &str) -> Result<Self, ServerError> {
        let mut params = CertificateParams::default();
        // A name of its own, or the certificates that it signs would seem to be signed by
        // themselves.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(failed)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
        let authority = Self { issuer, directory: directory.to_owned(), name: name.to_owned() };
        write(&authority.file(), &authority.issuer.pem())?;
        Ok(authority)
    }

    /// The file with the authority's own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.join(format!("{}.pem", self.name))
    }

    /// The folder of its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Signs a certificate for a name or an address.
    pub fn sign(&self, subject: &str) -> Result<Identity, ServerError> {
        self.sign_params(subject, &params(subject)?)
    }

    /// Signs a certificate that ended years ago.
    pub fn sign_expired(&self, subject: &str) -> Result<Identity, ServerError> {
        let mut params = params(subject)?;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign_params(&format!("expired-{subject}"), &params)
    }

    fn sign_params(&self, file: &str, params: &CertificateParams) -> Result<Identity, ServerError> {
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let path = |end: &str| self.directory.join(format!("{}-{file}.{end}", self.name));
        let identity = Identity { certificate: path("crt"), key: path("key") };
        write(&identity.certificate, &certificate.pem())?;
        write(&identity.key, &key.serialize_pem())?;
        Ok(identity)
    }
}

impl Certificates {
    /// Writes the certificates of a server on 127.0.0.1 to `directory`.
    pub(crate) fn create(directory: &Path) -> Result<Self, ServerError> {
        let authority = Authority::create(directory, "authority")?;
        let identity = authority.sign("127.0.0.1")?;
        let (server, authority) = (directory.join("server.pem"), authority.file());
        let mut text = String::new();
        for part in [&identity.key, &identity.certificate, &authority] {
            text += &fs::read_to_string(part).map_err(ServerError::io(format!("read {}", part.display())))?;
        }
        write(&server, &text)?;
        Ok(Self { server, authority })
    }
}

fn params(subject: &str) -> Result<CertificateParams, ServerError> {
    CertificateParams::new([subject.to_owned()]).map_err(failed)
}

fn write(file: &Path, text: &str) -> Result<(), ServerError> {
    fs::write(file, text).map_err(ServerError::io(format!("write {}", file.display())))
}

fn failed(error: rcgen::Error) -> ServerError {
    ServerError::io("make certificates")(io::Error::other(error))
}
