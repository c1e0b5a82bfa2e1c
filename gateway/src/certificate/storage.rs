//! The files of an authority's account, its certificates and pending challenges, and the lock on
//! them.
//!
//! | path below the storage | content |
//! |---|---|
//! | `HOST-HASH/` | everything of one authority, by the URL of its directory |
//! | `HOST-HASH/account.json` | the account with its key |
//! | `HOST-HASH/lock` | locked by the gateway that orders |
//! | `HOST-HASH/certificates/NAME-HASH.pem` | a certificate, its issuers and its key |
//! | `HOST-HASH/certificates/NAME-HASH.retry` | the failures since the last success |
//! | `HOST-HASH/http-01/TOKEN` | the answer to a pending challenge |
//! | `HOST-HASH/tls-alpn-01/NAME.pem` | the certificate that answers a pending challenge |
//!
//! Invariants: files are readable by their owner alone, and appear and change as a whole.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use super::Challenge;

const ACCOUNT_FILE: &str = "account.json";

const LOCK_FILE: &str = "lock";

const CERTIFICATES: &str = "certificates";

/// Ending of the file with the failures since the last success.
pub(super) const RETRY: &str = "retry";

/// Bytes of a hash that are part of a file's name.
const HASH_BYTES: usize = 6;

/// The files of one authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    folder: PathBuf,
}

/// The right to order. It ends with this value, and with the process.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Storage {
    /// The files of the authority with this directory, below the folder `root`. Nothing is created.
    pub fn new(root: &Path, directory: &str) -> Self {
        let rest = directory.split_once("://").map_or(directory, |(_, rest)| rest);
        let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
        let host: String = host.chars().filter(|letter| is_plain(*letter)).collect();
        Self { folder: root.join(format!("{host}-{}", hash(directory))) }
    }

    /// The file of the certificate for these names, whatever their order.
    pub fn certificate_file(&self, hosts: &[String]) -> PathBuf {
        let mut sorted = hosts.to_vec();
        sorted.sort_unstable();
        let first = hosts.first().map_or("", String::as_str);
        let first: String = first.chars().filter(|letter| is_plain(*letter)).collect();
        self.folder.join(CERTIFICATES).join(format!("{first}-{}.pem", hash(&sorted.join(" "))))
    }

    /// The folder with the answers to pending challenges of this kind.
    pub fn challenges(&self, challenge: Challenge) -> PathBuf {
        self.folder.join(challenge.as_str())
    }

    /// Creates the folders.
    pub(super) fn create(&self) -> io::Result<()> {
        let challenges = [Challenge::Http01, Challenge::TlsAlpn01].map(|challenge| self.challenges(challenge));
        for folder in challenges.iter().chain([&self.folder.join(CERTIFICATES)]) {
            let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            created.map_err(|error| named(&error, "cannot create", folder))?;
        }
        Ok(())
    }

    /// Locks the storage; none if another gateway has locked it.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.folder.join(LOCK_FILE);
        let opened = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|error| named(&error, "cannot open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(named(&error.into(), "cannot lock", &path)),
        }
    }

    /// The stored account; none if there is none.
    pub(super) fn account(&self) -> io::Result<Option<Vec<u8>>> {
        let path = self.folder.join(ACCOUNT_FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&error, "cannot read", &path)),
        }
    }

    pub(super) fn store_account(&self, account: &[u8]) -> io::Result<()> {
        replace(&self.folder.join(ACCOUNT_FILE), account)
    }

    /// Forgets an account that the authority does not know.
    pub(super) fn forget_account(&self) -> io::Result<()> {
        remove(&self.folder.join(ACCOUNT_FILE))
    }

    /// Removes the answers of orders that are over.
    pub(super) fn clear_challenges(&self) -> io::Result<()> {
        for challenge in [Challenge::Http01, Challenge::TlsAlpn01] {
            for entry in fs::read_dir(self.challenges(challenge))? {
                remove(&entry?.path())?;
            }
        }
        Ok(())
    }
}

/// Replaces the content of a file as a whole. The file is readable by its owner alone.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|error| named(&error, "cannot write", path))
}

/// The file in which the next content of `path` is prepared.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&error, "cannot remove", path)),
        _ => Ok(()),
    }
}

fn named(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}

const fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-')
}

/// The begin of a text's SHA-256, in hexadecimal digits.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(HASH_BYTES).fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    #[test]
    fn authorities_and_names_have_files_of_their_own() {
        let (root, url) = (Path::new("/s"), "https://ca.test:14000/dir");
        let storage = Storage::new(root, url);
        assert!(storage.folder.to_str().unwrap().starts_with("/s/ca.test-"));
        assert_ne!(storage, Storage::new(root, "https://ca.test:14000/staging"));
        let file = |hosts: &[&str]| storage.certificate_file(&names(hosts));
        assert_eq!(file(&["a.test", "b.test"]).parent(), file(&["b.test"]).parent());
        assert_ne!(file(&["a.test", "b.test"]), file(&["a.test"]));
        assert_eq!(
            storage.certificate_file(&names(&["a.test"])),
            Storage::new(root, url).certificate_file(&names(&["a.test"]))
        );
    }

    #[test]
    fn files_are_for_their_owner_alone_and_change_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(directory.path(), "https://ca.test/dir");
        storage.create().unwrap();
        let file = storage.certificate_file(&names(&["a.test"]));
        for content in ["one", "the other"] {
            replace(&file, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn lock_is_held_by_one_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(directory.path(), "https://ca.test/dir");
        storage.create().unwrap();
        let first = storage.lock().unwrap();
        assert!(first.is_some() && storage.lock().unwrap().is_none());
        drop(first);
        assert!(storage.lock().unwrap().is_some());
    }
}
