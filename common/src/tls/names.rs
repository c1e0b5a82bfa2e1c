//! The certificate for the name that a client asks for (SNI): an exact name first, then a wildcard
//! for one label, then the first certificate of the list.
//!
//! A name whose certificate an authority has still to issue has none: its handshakes are refused. A
//! certificate for other names would only teach people to pass over warnings.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{ServerCertificate, TlsSettings, challenge};

/// Certificates by name.
#[derive(Debug)]
pub struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// The first of the list; none if it is still to be issued.
    first: Option<Arc<CertifiedKey>>,
    /// Names that have been ordered.
    ordered: HashSet<String>,
    /// Folders with answers to challenges.
    challenges: Vec<PathBuf>,
}

/// Two certificates for one name, by their indexes.
#[derive(Debug, PartialEq, Eq)]
pub struct TwiceNamed {
    /// The name.
    pub name: String,
    /// Index of the certificate that has it first.
    pub first: usize,
    /// Index of the other one.
    pub second: usize,
}

impl Names {
    /// A table of those `certificates` of the settings that there are. Where two have a name in
    /// common, the first has it.
    pub fn new(settings: &TlsSettings, certificates: &[ServerCertificate]) -> Self {
        let first = settings.certificates.first();
        let first = certificates.first().filter(|certificate| Some(&certificate.files) == first);
        let orders = settings.certificates.iter().filter_map(|files| files.order.as_ref());
        let mut table = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            first: first.map(|certificate| Arc::clone(&certificate.key)),
            ordered: orders.flat_map(|order| order.hosts.iter().cloned()).collect(),
            challenges: settings.challenges.clone(),
        };
        for certificate in certificates {
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut table.wildcard, rest),
                    None => (&mut table.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_insert_with(|| Arc::clone(&certificate.key));
            }
        }
        table
    }

    /// Returns names that two of the certificates have in common, by the names of each.
    pub fn twice(certificates: &[Vec<String>]) -> Vec<TwiceNamed> {
        let mut seen = HashMap::new();
        let mut twice = Vec::new();
        for (index, names) in certificates.iter().enumerate() {
            for name in names {
                match seen.get(name) {
                    None => _ = seen.insert(name.clone(), index),
                    Some(first) if *first == index => {}
                    Some(first) => twice.push(TwiceNamed { name: name.clone(), first: *first, second: index }),
                }
            }
        }
        twice
    }

    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            // rustls gives names in lower case, which is what it makes of them.
            self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
        });
        let is_ordered = name.is_some_and(|name| self.ordered.contains(name));
        named.or(self.first.as_ref().filter(|_| !is_ordered)).cloned()
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if challenge::is_asked(&client) {
            return challenge::answer(&self.challenges, client.server_name()?);
        }
        self.find(client.server_name())
    }
}
