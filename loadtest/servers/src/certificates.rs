//! Certificates for servers on this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::ServerError;

/// The server's private key, its certificate and the authority's behind it.
const SERVER_FILE: &str = "server.pem";

/// The certificate of the authority, which clients trust.
const AUTHORITY_FILE: &str = "authority.pem";

/// A server's certificate and the authority that vouches for it, in files.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) server: PathBuf,
    pub(crate) authority: PathBuf,
}

impl Certificates {
    /// Writes them to `directory`.
    pub(crate) fn create(directory: &Path) -> Result<Self, ServerError> {
        let (server, authority) = (directory.join(SERVER_FILE), directory.join(AUTHORITY_FILE));
        let (server_pem, authority_pem) =
            certificates().map_err(io::Error::other).map_err(ServerError::io("make certificates"))?;
        for (file, text) in [(&server, server_pem), (&authority, authority_pem)] {
            fs::write(file, text).map_err(ServerError::io(format!("write {}", file.display())))?;
        }
        Ok(Self { server, authority })
    }
}

/// The server's key and certificate with its chain, and the authority's certificate, in PEM.
fn certificates() -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    // A name of its own, or the server's certificate would seem to be signed by itself.
    params.distinguished_name.push(DnType::CommonName, "Tollgate test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    Ok((key.serialize_pem() + &server.pem() + &authority.pem(), authority.pem()))
}
