//! Certificates and keys from PEM files.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Largest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Age from which the time of a file's last change can be relied on.
const RECENT_SECONDS: i64 = 2;

/// The content of a file; the error continues a sentence that begins with its path.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if length > FILE_MAX_BYTES {
        return Err(format!("has {length} bytes, more than the {FILE_MAX_BYTES} that a file of certificates may have"));
    }
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// A number that stands for the content of files, in their order. A file that cannot be read counts
/// as another content.
pub(super) fn digest<'a>(files: impl IntoIterator<Item = &'a Path>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// The state of files as the file system tells it, by which most changes are seen without reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    number: u64,
    /// True if a file changed so recently that another change might bear the same time.
    is_recent: bool,
}

impl Stamp {
    /// The state of files, through symbolic links, at `now` in seconds since 1970.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a Path>, now: i64) -> Self {
        let (mut hasher, mut newest) = (DefaultHasher::new(), i64::MIN);
        for file in files {
            let found = std::fs::metadata(file).ok();
            newest = newest.max(found.as_ref().map_or(i64::MIN, MetadataExt::ctime));
            let times =
                |found: &std::fs::Metadata| (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
            found.map(|found| (found.dev(), found.ino(), found.size(), times(&found))).hash(&mut hasher);
        }
        Self { number: hasher.finish(), is_recent: newest.saturating_add(RECENT_SECONDS) >= now }
    }

    /// Returns true if the files are surely as they were at `before`.
    pub(super) const fn is_as(&self, before: &Self) -> bool {
        self.number == before.number && !before.is_recent
    }
}

/// Every certificate in a PEM text: at least one, each well-formed.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() {
        return Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".into());
    }
    for (index, certificate) in found.iter().enumerate() {
        X509Certificate::from_der(certificate)
            .map_err(|error| format!("holds a certificate that cannot be read (number {}): {error}", index + 1))?;
    }
    Ok(found)
}

/// The private key in a PEM text.
pub fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "holds no private key in PEM (-----BEGIN PRIVATE KEY-----) without a password".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Clock as _, SystemClock};

    #[test]
    fn change_of_files_is_seen_by_their_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["v1", "v2"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("tls.crt"), "the same content").unwrap();
        }
        std::os::unix::fs::symlink("v1", at("current")).unwrap();
        let file = at("current").join("tls.crt");
        let (now, later) = (SystemClock.now().seconds(), SystemClock.now().seconds() + 10);
        let fresh = Stamp::of([file.as_path()], now);
        assert!(!Stamp::of([file.as_path()], now).is_as(&fresh), "it may change again within the same moment");
        let settled = Stamp::of([file.as_path()], later);
        assert!(Stamp::of([file.as_path()], later).is_as(&settled));
        std::os::unix::fs::symlink("v2", at("next")).unwrap();
        std::fs::rename(at("next"), at("current")).unwrap();
        let swung = Stamp::of([file.as_path()], later);
        assert!(!swung.is_as(&settled));
        std::fs::write(&file, "another content!").unwrap();
        assert!(!Stamp::of([file.as_path()], later).is_as(&swung));
        std::fs::remove_file(&file).unwrap();
        assert!(!Stamp::of([file.as_path()], later).is_as(&swung));
    }
}
