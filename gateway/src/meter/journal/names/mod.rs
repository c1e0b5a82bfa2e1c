//! The dictionary of names that slots refer to by number: routes, meters and reasons, in one
//! append-only file per boot.
//!
//! Invariant: a name is on disk before the first slot that uses it. An entry is its length, a
//! checksum over number, length and name, and the name.

mod recent;

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::lock::locked;

/// Longest name in bytes, the same as in a batch.
const NAME_MAX_BYTES: usize = 256;

const HEADER_BYTES: usize = 8;

/// The name of the file in a boot's directory.
const FILE_NAME: &str = "names";

/// The file of names in a boot's directory.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

/// Id of the next dictionary in this process.
static NEXT_DICTIONARY: AtomicU64 = AtomicU64::new(0);

/// The dictionary of the boot that is running.
pub(super) struct Names {
    id: u64,
    /// Read without a lock, and copied when a name is added, which is rare.
    known: ArcSwap<Known>,
    file: Mutex<NameFile>,
}

/// The names that are known at one moment.
#[derive(Default, Clone)]
pub(super) struct Known {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

struct NameFile {
    file: File,
    end: u64,
}

/// Reason why a name has no number.
#[derive(Debug, thiserror::Error)]
pub(super) enum NameError {
    #[error("a name is empty, too long or contains control characters")]
    Invalid,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Names {
    /// Makes an empty dictionary in a new boot's directory.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(directory.join(FILE_NAME))?;
        let id = NEXT_DICTIONARY.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, known: ArcSwap::default(), file: Mutex::new(NameFile { file, end: 0 }) })
    }

    /// The numbers of names. New names are written first.
    pub(super) fn numbers<const N: usize>(&self, names: [&Arc<str>; N]) -> Result<[u32; N], NameError> {
        let mut numbers = [0; N];
        for (number, name) in numbers.iter_mut().zip(names) {
            *number = match recent::number(self.id, name) {
                Some(number) => number,
                None => self.look_up(name)?,
            };
        }
        Ok(numbers)
    }

    /// The names that are known now.
    pub(super) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    #[cold]
    fn look_up(&self, name: &Arc<str>) -> Result<u32, NameError> {
        let known = self.known.load().numbers.get(name).copied();
        let number = known.map_or_else(|| self.add(name), Ok)?;
        recent::remember(self.id, name, number);
        Ok(number)
    }

    fn add(&self, name: &Arc<str>) -> Result<u32, NameError> {
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.contains(char::is_control) {
            return Err(NameError::Invalid);
        }
        let mut file = locked(&self.file);
        let known = self.known.load_full();
        if let Some(number) = known.numbers.get(name) {
            return Ok(*number);
        }
        let number = u32::try_from(known.names.len()).map_err(|_| NameError::Invalid)?;
        file.append(number, name)?;
        let mut longer = Known::clone(&known);
        longer.numbers.insert(Arc::clone(name), number);
        longer.names.push(Arc::clone(name));
        self.known.store(Arc::new(longer));
        Ok(number)
    }
}

impl Known {
    /// The name with this number.
    pub(super) fn name(&self, number: u32) -> Option<&Arc<str>> {
        self.names.get(number as usize)
    }
}

impl NameFile {
    /// Appends a name. After a failure the next entry overwrites the broken one.
    fn append(&mut self, number: u32, name: &str) -> io::Result<()> {
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut entry = Vec::with_capacity(HEADER_BYTES + name.len());
        entry.extend_from_slice(&length);
        entry.extend_from_slice(&checksum(number, length, name.as_bytes()));
        entry.extend_from_slice(name.as_bytes());
        self.file.write_all_at(&entry, self.end)?;
        self.file.sync_data()?;
        self.end += entry.len() as u64;
        Ok(())
    }
}

/// Reads the dictionary of an earlier boot. A name that cannot be read is None, and the others keep
/// their numbers.
pub(super) fn read(directory: &Path) -> io::Result<Vec<Option<Arc<str>>>> {
    let bytes = match std::fs::read(directory.join(FILE_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome?,
    };
    Ok(parse(&bytes))
}

/// Removes the dictionary of a boot that is drained.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_file(directory.join(FILE_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn parse(mut rest: &[u8]) -> Vec<Option<Arc<str>>> {
    let mut names = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>()
        && let Some((stored, after)) = after.split_first_chunk::<4>()
        && let Some((name, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
    {
        let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let intact = checksum(number, *length, name) == *stored;
        names.push(std::str::from_utf8(name).ok().filter(|_| intact).map(Arc::from));
        rest = after;
    }
    names
}

fn checksum(number: u32, length: [u8; 4], name: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&length);
    hasher.update(name);
    hasher.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(names: &[&str]) -> (tempfile::TempDir, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let dictionary = Names::create(directory.path()).unwrap();
        for name in names {
            dictionary.numbers([&Arc::from(*name)]).unwrap();
        }
        let bytes = std::fs::read(directory.path().join(FILE_NAME)).unwrap();
        (directory, bytes)
    }

    #[test]
    fn numbers_stay_and_read_back() {
        let (directory, _) = written(&["search", "requests", "search", "upload"]);
        let read = read(directory.path()).unwrap();
        let names: Vec<_> = read.iter().map(|name| name.as_deref().unwrap()).collect();
        assert_eq!(names, ["search", "requests", "upload"]);
    }

    #[test]
    fn names_that_no_batch_may_carry_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let dictionary = Names::create(directory.path()).unwrap();
        for name in ["", "a\nb", &"x".repeat(257)] {
            assert!(matches!(dictionary.numbers([&Arc::from(name)]), Err(NameError::Invalid)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn damaged_file_never_yields_a_name_that_was_not_written_there(
            flips in prop::collection::vec((0_usize..60, 0_u8..8), 0..4),
            kept in 0_usize..70,
        ) {
            let names = ["search", "requests", "upload", "tokens"];
            let (_directory, mut bytes) = written(&names);
            for (at, bit) in flips {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
            }
            bytes.truncate(kept);
            for (number, name) in parse(&bytes).iter().enumerate() {
                if let Some(name) = name {
                    prop_assert_eq!(&**name, names[number]);
                }
            }
        }
    }
}
