//! Checks that the disk has room for the journal's budget.

use std::{fs, io, path::Path};

/// Bytes that the disk lacks for a journal of `budget_bytes` in `directory`, counting what the
/// journal has already. None if there is enough. The directory need not be there yet.
pub fn journal_shortage(directory: &Path, budget_bytes: u64) -> io::Result<Option<u64>> {
    let existing = directory.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let disk = rustix::fs::statvfs(existing)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let taken = if directory.is_dir() { bytes_below(directory)? } else { 0 };
    Ok(budget_bytes.checked_sub(free.saturating_add(taken)).filter(|shortage| *shortage > 0))
}

/// Bytes of all files below a directory. Files that vanish meanwhile do not count.
fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut bytes: u64 = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        let more = if metadata.is_dir() { bytes_below(&entry.path()).unwrap_or(0) } else { metadata.len() };
        bytes = bytes.saturating_add(more);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_beyond_the_disk_is_a_shortage_and_a_small_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path().join("not/yet/there");
        assert_eq!(journal_shortage(&journal, 1).unwrap(), None);
        let shortage = journal_shortage(&journal, u64::MAX).unwrap();
        assert!(shortage.is_some_and(|shortage| shortage > u64::MAX / 2), "{shortage:?}");
    }

    #[test]
    fn existing_files_count_as_disk_of_the_journal() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("edge-1")).unwrap();
        fs::write(directory.path().join("edge-1/lane-0.ring"), [0; 1_000]).unwrap();
        assert_eq!(bytes_below(directory.path()).unwrap(), 1_000);
    }
}
