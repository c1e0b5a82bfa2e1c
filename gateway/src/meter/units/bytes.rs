//! Units by bytes: one for each `per` bytes that were begun.

use std::num::NonZeroU64;

/// The bytes that passed in one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteCount {
    per: NonZeroU64,
    passed: u64,
}

impl ByteCount {
    /// No bytes yet; a unit stands for `per` bytes.
    pub(crate) const fn new(per: NonZeroU64) -> Self {
        Self { per, passed: 0 }
    }

    /// Returns the units that as many more bytes will use.
    pub(super) const fn units_of(&self, bytes: u64) -> u64 {
        self.passed.saturating_add(bytes).div_ceil(self.per.get()) - self.passed.div_ceil(self.per.get())
    }

    /// Counts bytes that pass. Returns the units that they use.
    pub(super) const fn pass(&mut self, bytes: u64) -> u64 {
        let units = self.units_of(bytes);
        self.passed = self.passed.saturating_add(bytes);
        units
    }
}
