//! Memory-mapped words: all the unsafe code there is.

#![expect(unsafe_code, reason = "a file can only be shared with the page cache by mapping it")]
#![expect(clippy::cast_ptr_alignment, reason = "mappings start at a page's edge")]

use std::{fs::File, io, ops::Deref};

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::atomic::AtomicU64;

/// A file's words, shared with the page cache.
pub struct MappedWords {
    map: MmapRaw,
}

impl MappedWords {
    /// Maps the first `words` 64-bit words of `file`, which must have been allocated. The caller
    /// sees to it that nobody makes the file shorter while it is mapped: reading what is gone would
    /// end the process.
    pub(crate) fn new(file: &File, words: usize) -> io::Result<Self> {
        let bytes = words.checked_mul(8).ok_or(io::ErrorKind::FileTooLarge)?;
        if file.metadata()?.len() < bytes as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw(file)? })
    }

    /// Takes the page faults of writing to `count` words from number `from` on now: a page that was
    /// flushed has one coming. Older kernels and some file systems cannot, and whoever writes then
    /// takes them.
    pub(crate) fn prepare(&self, from: usize, count: usize) {
        let _ = self.map.advise_range(Advice::PopulateWrite, from * 8, count * 8);
    }

    /// Forces `count` words from number `from` on to the disk.
    pub(crate) fn flush(&self, from: usize, count: usize) -> io::Result<()> {
        self.map.flush_range(from * 8, count * 8)
    }
}

impl Deref for MappedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping starts at a page's edge, lives as long as `self`, and spans `len`
        // bytes of a file that was at least that long when it was mapped and that nobody shortens.
        // Every bit pattern is a valid AtomicU64, which has the size and alignment of u64, and all
        // access in this process goes through these atomics.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.map.len() / 8) }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{Found, PAYLOAD_WORDS, Ring, Seal};

    /// Memory without a file behind it, which is what miri can map: it judges the one unsafe block
    /// here.
    #[test]
    fn threads_share_what_is_mapped() {
        let bytes = Ring::<MappedWords>::words_of(4) * 8;
        let words = MappedWords { map: MmapOptions::new().len(bytes).map_anon().unwrap().into() };
        let ring = Ring::new(words, Seal::of("mapped")).unwrap();
        thread::scope(|scope| {
            for producer in [1, 2] {
                let ring = &ring;
                scope.spawn(move || [(); 2].map(|()| ring.append(&[producer; PAYLOAD_WORDS]).unwrap()));
            }
        });
        let mut entries = Vec::new();
        ring.read(0, 4, |found| entries.push(found));
        entries.sort_unstable_by_key(|found| *found == Found::Entry([2; PAYLOAD_WORDS]));
        assert_eq!(entries, [1, 1, 2, 2].map(|producer| Found::Entry([producer; PAYLOAD_WORDS])));
    }
}
