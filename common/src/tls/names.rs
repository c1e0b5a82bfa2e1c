//! The certificate for the name that a client asks for (SNI): an exact name first, then a wildcard
//! for one label, then the first certificate of the list.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::ServerCertificate;

/// Certificates by name.
#[derive(Debug)]
pub struct Names {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
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
    /// A table of these certificates. Where two have a name in common, the first has it.
    pub fn new(certificates: &[ServerCertificate]) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            first: certificates.first().map(|certificate| Arc::clone(&certificate.key)),
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

    /// Returns names that two of the certificates have in common.
    pub fn twice(certificates: &[ServerCertificate]) -> Vec<TwiceNamed> {
        let mut seen = HashMap::new();
        let mut twice = Vec::new();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
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
        named.or(self.first.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(client.server_name())
    }
}
