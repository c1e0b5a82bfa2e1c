//! The output of a process, in a file that is read while it grows.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Size of the part of a log that an error shows.
const TAIL_BYTES: usize = 4_096;

/// A file with the output of a process; each start of the process appends to it.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned()
    }

    /// All complete lines so far.
    pub fn lines(&self) -> Vec<String> {
        let text = self.text();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(ToOwned::to_owned).collect()
    }

    /// The last 4 KiB, or the reason why there is no log.
    pub fn tail(&self) -> String {
        fs::read(&self.path).map_or_else(|error| format!("(no log: {error})"), |bytes| end_of(&bytes))
    }

    pub(crate) fn open(&self) -> io::Result<File> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        File::options().create(true).append(true).open(&self.path)
    }
}

/// The part of an output that an error shows.
pub(crate) fn end_of(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}
