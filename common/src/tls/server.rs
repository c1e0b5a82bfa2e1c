//! TLS of a listener: its certificates, versions, protocols and clients, as rustls takes them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    server::{NoServerSessionStorage, ProducesTickets},
    version::{TLS12, TLS13},
};

use super::{CertificateFiles, ClientAuthority, ServerCertificate, TlsFault, challenge, metrics, names::Names, pem};

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Certificates that clients show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// File with the authorities that vouch for them.
    pub ca_file: PathBuf,
    /// Name of the setting that names the file.
    pub setting: &'static str,
    /// True if a client without one is refused.
    pub required: bool,
}

/// Settings of TLS on a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates, the first of which serves clients that ask for no known name.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: MinVersion,
    /// Protocols that are offered (ALPN), the preferred one first.
    pub protocols: Vec<&'static str>,
    /// Certificates of clients, if they are asked for.
    pub clients: Option<Clients>,
    /// Folders with the answers to pending challenges of authorities (TLS-ALPN-01).
    pub challenges: Vec<PathBuf>,
}

/// TLS of a listener, read from its files.
#[derive(Clone)]
pub struct ServerTls {
    /// The settings.
    pub settings: TlsSettings,
    /// The certificates, without those that an authority has still to issue.
    pub certificates: Arc<Vec<ServerCertificate>>,
    config: Arc<ServerConfig>,
    tickets: Tickets,
    /// Stands for the content of all files.
    digest: u64,
}

/// Keys of session tickets, and the file of authorities that sessions were verified by.
#[derive(Clone)]
struct Tickets {
    keys: Arc<dyn ProducesTickets>,
    clients: u64,
}

impl TlsSettings {
    /// The files, in a fixed order.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter();
        let certificates = pairs.flat_map(CertificateFiles::all);
        certificates.chain(self.clients.iter().map(|clients| clients.ca_file.as_path()))
    }

    fn client_digest(&self) -> u64 {
        pem::digest(self.clients.iter().map(|clients| clients.ca_file.as_path()))
    }
}

impl ServerTls {
    /// Reads and checks all files.
    pub fn load(settings: TlsSettings) -> Result<Self, Vec<TlsFault>> {
        Self::read(settings, None)
    }

    /// Reads the files once more. Sessions of clients can be resumed as before, unless other
    /// authorities vouch for clients now.
    pub(super) fn reload(&self) -> Result<Self, Vec<TlsFault>> {
        Self::read(self.settings.clone(), Some(self))
    }

    /// The settings for rustls.
    pub const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// A number that stands for the content of all files.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    fn read(settings: TlsSettings, before: Option<&Self>) -> Result<Self, Vec<TlsFault>> {
        // Before the files themselves: a change while they are read is then seen as one.
        let (digest, clients) = (pem::digest(settings.files()), settings.client_digest());
        let in_force = before.map_or(&[][..], |before| before.certificates.as_slice());
        let (certificates, mut faults) = load_all(&settings.certificates, in_force);
        let authority =
            settings.clients.as_ref().map(|clients| ClientAuthority::load(clients.setting, &clients.ca_file));
        let authority = authority.transpose().map_err(|fault| faults.push(fault)).unwrap_or_default();
        if !faults.is_empty() {
            return Err(faults);
        }
        let built = Tickets::keep(before.map(|before| &before.tickets), clients).and_then(|tickets| {
            let config = build(&settings, &certificates, authority.as_ref(), &tickets)?;
            Ok((config, tickets))
        });
        let (config, tickets) = built.map_err(|reason| vec![settings.fault(&reason)])?;
        let certificates = Arc::new(certificates);
        metrics::show(&certificates);
        Ok(Self { settings, certificates, config: Arc::new(config), tickets, digest })
    }
}

impl TlsSettings {
    /// A fault of the settings as a whole.
    fn fault(&self, reason: &str) -> TlsFault {
        let file = self.certificates.first().map_or(Path::new(""), |files| &files.certificate);
        TlsFault::new("certificate_file", file, format!("cannot be served with: {reason}"))
    }
}

impl Tickets {
    /// The same keys, if the authorities are the same.
    fn keep(before: Option<&Self>, clients: u64) -> Result<Self, String> {
        if let Some(before) = before.filter(|before| before.clients == clients) {
            return Ok(before.clone());
        }
        let keys = ring::Ticketer::new().map_err(|error| error.to_string())?;
        Ok(Self { keys, clients })
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        (&self.settings, self.digest) == (&other.settings, other.digest)
    }
}

impl Eq for ServerTls {}

impl std::fmt::Debug for ServerTls {
    /// Nothing of the files: some of them hold private keys.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServerTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Loads all certificates that there are. One that is ordered and cannot be read stays as it is
/// `in_force`, or is waited for.
fn load_all(files: &[CertificateFiles], in_force: &[ServerCertificate]) -> (Vec<ServerCertificate>, Vec<TlsFault>) {
    let (mut certificates, mut names, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (index, files) in files.iter().enumerate() {
        let loaded = match (ServerCertificate::load(files), &files.order) {
            (Ok(certificate), _) => Some(certificate),
            (Err(_), Some(_)) => in_force.iter().find(|certificate| certificate.files == *files).cloned(),
            (Err(fault), None) => {
                faults.push(TlsFault { certificate: Some(index), ..fault });
                None
            }
        };
        let known = loaded.as_ref().map_or(&[][..], |certificate| certificate.names.as_slice());
        names.push(files.order.as_ref().map_or(known, |order| order.hosts.as_slice()).to_vec());
        certificates.extend(loaded);
    }
    if faults.is_empty() {
        faults.extend(Names::twice(&names).into_iter().map(|twice| {
            let (first, second) = (&files[twice.first], &files[twice.second]);
            let reason = format!("is a second certificate for {}, beside {}", twice.name, first.certificate.display());
            TlsFault {
                certificate: Some(twice.second),
                ..TlsFault::new("certificate_file", &second.certificate, reason)
            }
        }));
    }
    (certificates, faults)
}

fn build(
    settings: &TlsSettings,
    certificates: &[ServerCertificate],
    authority: Option<&ClientAuthority>,
    tickets: &Tickets,
) -> Result<ServerConfig, String> {
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    let required = settings.clients.as_ref().is_some_and(|clients| clients.required);
    let builder = match authority {
        Some(authority) => builder.with_client_cert_verifier(authority.verifier(required)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Names::new(settings, certificates)));
    let protocols = settings.protocols.iter().map(|protocol| protocol.as_bytes());
    // Last, so that nobody gets it who offers another one.
    let challenges = (!settings.challenges.is_empty()).then_some(challenge::PROTOCOL);
    config.alpn_protocols = protocols.chain(challenges).map(<[u8]>::to_vec).collect();
    config.ticketer = Arc::clone(&tickets.keys);
    // Sessions are kept by clients, in their tickets.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
