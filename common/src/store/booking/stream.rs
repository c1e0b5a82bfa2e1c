//! Which numbers of a stream are booked: a mark below which all are, but for open gaps.
//!
//! This is what makes booking exactly once for ever: it does not depend on how long records are kept, and is as small
//! as the stream has gaps. Counters of what was booked stand beside the mark; the audit holds them against the records
//! and against the hourly sums, so they are taken from the entries by themselves.

use std::ops::Range;

use crate::{time::Micros, usage::UsageEntry};

/// Units of a stream are counted modulo 2^62, as all of a stream may exceed what a column holds, and equality is all
/// that is asked of them.
pub(in crate::store) const UNITS_MODULUS: i64 = 1 << 62;

/// What a batch may book of its range, and where the stream then stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Numbers that were not booked, in order.
    pub(super) fresh: Vec<Range<i64>>,
    /// Numbers that the batch skipped.
    pub(super) gap: Range<i64>,
    /// The mark afterwards.
    pub(super) next_seq: i64,
}

/// Numbers that have not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) range: Range<i64>,
    /// None for gaps of before this was written down.
    pub(super) opened_at: Option<i64>,
}

/// What a booking adds to a stream's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) requests: i64,
    pub(super) units: i64,
    pub(super) refusal_entries: i64,
    pub(super) refused: i64,
    pub(super) dropped_requests: i64,
    pub(super) dropped_units: i64,
}

/// A locked stream while it is being booked.
#[derive(Debug)]
pub(super) struct StreamBook {
    name: String,
    mark: i64,
    /// Gaps as they were, in order, as far as any batch may fill them.
    known_gaps: Vec<Gap>,
    /// Gaps as they are.
    gaps: Vec<Gap>,
    added: Counters,
}

impl Claim {
    /// How many numbers were not booked.
    pub(super) fn fresh_count(&self) -> u64 {
        self.fresh.iter().map(|range| range.end.abs_diff(range.start)).sum()
    }
}

impl StreamBook {
    /// A stream that stands at `mark`. `gaps` are those, in order, that reach into what its batches cover.
    pub(super) fn new(name: String, mark: i64, gaps: Vec<Gap>) -> Self {
        Self { name, mark, known_gaps: gaps.clone(), gaps, added: Counters::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn mark(&self) -> i64 {
        self.mark
    }

    pub(super) const fn added(&self) -> &Counters {
        &self.added
    }

    /// Claims what is not booked yet of `range`, which is not empty.
    pub(super) fn claim(&mut self, range: Range<i64>, now: Micros) -> Claim {
        let mark = self.mark;
        let mut fresh = Vec::new();
        if range.start < mark {
            fresh = self.fill_gaps(&(range.start..range.end.min(mark)));
        }
        if range.end <= mark {
            return Claim { fresh, gap: mark..mark, next_seq: mark };
        }
        let gap = mark..range.start.max(mark);
        fresh.push(gap.end..range.end);
        if !gap.is_empty() {
            self.gaps.push(Gap { range: gap.clone(), opened_at: Some(now.0) });
        }
        self.mark = range.end;
        Claim { fresh, gap, next_seq: range.end }
    }

    /// Takes `range` out of the open gaps and gives what of it was in one.
    fn fill_gaps(&mut self, range: &Range<i64>) -> Vec<Range<i64>> {
        let mut filled = Vec::new();
        let mut left = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            let inside = gap.range.start.max(range.start)..gap.range.end.min(range.end);
            if inside.is_empty() {
                left.push(gap);
                continue;
            }
            let rests = [gap.range.start..inside.start, inside.end..gap.range.end];
            let opened_at = gap.opened_at;
            left.extend(rests.into_iter().filter(|rest| !rest.is_empty()).map(|range| Gap { range, opened_at }));
            filled.push(inside);
        }
        self.gaps = left;
        filled
    }

    /// Counts entries that are booked.
    pub(super) fn count<'e>(&mut self, entries: impl Iterator<Item = &'e UsageEntry>, keep_records: bool) {
        for entry in entries {
            match entry {
                UsageEntry::Request(record) => {
                    self.added.requests += 1;
                    self.added.units = sum_of_units(self.added.units, record.units);
                }
                UsageEntry::Refusals(refusals) => {
                    self.added.refusal_entries += 1;
                    self.added.refused = sum_of_units(self.added.refused, refusals.count);
                }
                // An entry without a request, as a sum of no refusals is.
                UsageEntry::Void => self.added.refusal_entries += 1,
            }
        }
        if !keep_records {
            self.added.dropped_requests = self.added.requests;
            self.added.dropped_units = self.added.units;
        }
    }

    /// Gaps that are gone or changed, and gaps that are new or what is left of those.
    pub(super) fn gap_changes(&self) -> (Vec<&Gap>, Vec<&Gap>) {
        let missing_in = |others: &[Gap], gap: &Gap| !others.contains(gap);
        (
            self.known_gaps.iter().filter(|gap| missing_in(&self.gaps, gap)).collect(),
            self.gaps.iter().filter(|gap| missing_in(&self.known_gaps, gap)).collect(),
        )
    }
}

fn sum_of_units(sum: i64, units: u64) -> i64 {
    const MODULUS: u64 = UNITS_MODULUS.unsigned_abs();
    ((sum.unsigned_abs() + units % MODULUS) % MODULUS).cast_signed()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::single_range_in_vec_init, reason = "there is one range")]

    use super::*;

    const NOW: Micros = Micros(5);

    fn book_with_gap() -> StreamBook {
        let mut book = StreamBook::new("edge-1/x/0".into(), 0, Vec::new());
        assert_eq!(book.claim(10..12, NOW), Claim { fresh: vec![10..12], gap: 0..10, next_seq: 12 });
        StreamBook::new("edge-1/x/0".into(), 12, book.gaps)
    }

    #[test]
    fn what_is_left_of_a_gap_keeps_its_age() {
        let mut book = book_with_gap();
        assert_eq!(book.claim(4..6, Micros(9)).fresh, [4..6]);
        let (closed, opened) = book.gap_changes();
        assert_eq!(closed, [&Gap { range: 0..10, opened_at: Some(5) }]);
        assert_eq!(
            opened.iter().map(|gap| (gap.range.clone(), gap.opened_at)).collect::<Vec<_>>(),
            [(0..4, Some(5)), (6..10, Some(5))]
        );
    }

    #[test]
    fn a_gap_that_is_filled_in_the_same_booking_was_never_there() {
        let mut book = StreamBook::new("edge-1/x/0".into(), 0, Vec::new());
        book.claim(10..12, NOW);
        book.claim(0..10, NOW);
        assert_eq!(book.gap_changes(), (Vec::new(), Vec::new()));
        assert_eq!(book.mark(), 12);
    }

    #[test]
    fn units_are_counted_modulo_and_never_overflow() {
        assert_eq!(sum_of_units(UNITS_MODULUS - 1, 1), 0);
        assert_eq!(sum_of_units(UNITS_MODULUS - 1, u64::MAX), UNITS_MODULUS - 2);
    }
}
