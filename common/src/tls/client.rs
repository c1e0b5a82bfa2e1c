//! TLS of a client: the authorities that it trusts, and the certificate that it shows.

use std::path::{Path, PathBuf};

use super::{CertificateFiles, ServerCertificate, TlsFault, clients, pem};

/// Settings of TLS for connections to one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// File with the authorities that vouch for the server; those that the system trusts if none.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown, and its key.
    pub identity: Option<CertificateFiles>,
}

/// The files of a client's TLS, checked.
pub struct ClientFiles {
    /// Certificates of the authorities, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// The certificate that is shown with its key, in PEM.
    pub identity: Option<Vec<u8>>,
    /// Stands for the content of all files.
    pub digest: u64,
}

impl ClientTls {
    /// Reads and checks the files.
    pub fn load(&self) -> Result<ClientFiles, TlsFault> {
        let digest = self.digest();
        let authorities = self.ca_file.as_ref().map(|path| {
            let fault = |reason: String| TlsFault::new("ca_file", path, reason);
            clients::roots("ca_file", path)?;
            pem::read(path).map_err(fault)
        });
        let identity = self.identity.as_ref().map(|files| {
            ServerCertificate::load(files)?;
            let mut both = pem::read(&files.key).map_err(|reason| TlsFault::new("key_file", &files.key, reason))?;
            both.push(b'\n');
            let certificate = pem::read(&files.certificate);
            both.extend(certificate.map_err(|reason| TlsFault::new("certificate_file", &files.certificate, reason))?);
            Ok(both)
        });
        Ok(ClientFiles { authorities: authorities.transpose()?, identity: identity.transpose()?, digest })
    }

    /// A number that stands for the content of all files.
    pub fn digest(&self) -> u64 {
        let identity = self.identity.iter().flat_map(|files| [files.certificate.as_path(), files.key.as_path()]);
        pem::digest(self.ca_file.as_deref().into_iter().chain(identity).map(Path::new))
    }
}
