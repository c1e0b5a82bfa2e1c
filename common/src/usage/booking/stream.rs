//! The booked numbers of a stream: a mark below which all are booked, except for open gaps. A gap
//! holds numbers that were skipped, or numbers whose entries the gateway reported as lost; late
//! entries fill either.
//!
//! This is what makes booking exactly once for ever: it does not depend on how long records are
//! kept, and is as small as the stream has gaps. Counters of what was booked stand beside the mark;
//! the audit holds them against the records and against the rollups, so they are taken from the
//! entries by themselves.

use std::ops::Range;

use crate::{
    time::Micros,
    usage::{UsageEntry, modular::UNITS_MODULUS},
};

/// The part of a batch's range that may be booked, and the mark of the stream afterwards.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Numbers that were not booked, in order.
    pub(super) fresh: Vec<Range<i64>>,
    /// Numbers of those whose entries are lost.
    pub(super) lost: Vec<Range<i64>>,
    /// Numbers that the batch skipped.
    pub(super) gap: Range<i64>,
    /// The mark afterwards.
    pub(super) next_seq: i64,
}

/// Numbers that have not come, or came without their entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) range: Range<i64>,
    /// None for gaps of before this was written down.
    pub(super) opened_at: Option<i64>,
    /// True if the gateway reported the entries as lost; false if it skipped the numbers.
    pub(super) lost: bool,
    /// Id of the acceptance of the gap, kept by the rest of a gap that fills in part.
    pub(super) acceptance: Option<i64>,
}

/// Amounts that a booking adds to a stream's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) requests: i64,
    pub(super) units: i64,
    pub(super) refusal_entries: i64,
    pub(super) refused: i64,
    pub(super) void_entries: i64,
    /// Less than zero, if more turned up than were lost.
    pub(super) lost_entries: i64,
    pub(super) end_entries: i64,
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
    /// Counts the numbers that were not booked before.
    pub(super) fn fresh_count(&self) -> u64 {
        length(&self.fresh)
    }

    /// Counts those of them that came without their entries.
    pub(super) fn lost_count(&self) -> u64 {
        length(&self.lost)
    }
}

impl StreamBook {
    /// A stream that stands at `mark`. `gaps` are those, in order, that reach into what its batches
    /// cover.
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

    /// Claims what is not booked yet of `range`, which is not empty. Of the numbers in it that are
    /// `lost`, which are in order, each becomes a gap, unless it is one already.
    pub(super) fn claim(&mut self, range: Range<i64>, lost: &[Range<i64>], now: Micros) -> Claim {
        let mark = self.mark;
        let mut fresh = Vec::new();
        if range.start < mark {
            fresh = self.fill_gaps(&(range.start..range.end.min(mark)), lost);
        }
        let mut gap = mark..mark;
        if range.end > mark {
            gap.end = range.start.max(mark);
            fresh.push(gap.end..range.end);
            self.open_gap(gap.clone(), now, false);
            self.mark = range.end;
        }
        let lost: Vec<_> = fresh.iter().flat_map(|fresh| overlaps(fresh, lost)).collect();
        for range in &lost {
            self.open_gap(range.clone(), now, true);
        }
        if !lost.is_empty() {
            self.gaps.sort_unstable_by_key(|gap| gap.range.start);
        }
        Claim { fresh, lost, gap, next_seq: self.mark }
    }

    fn open_gap(&mut self, range: Range<i64>, now: Micros, lost: bool) {
        if !range.is_empty() {
            self.gaps.push(Gap { range, opened_at: Some(now.0), lost, acceptance: None });
        }
    }

    /// Takes `range` out of the open gaps and gives what of it was in one. What is `lost` does not
    /// fill what was lost.
    fn fill_gaps(&mut self, range: &Range<i64>, lost: &[Range<i64>]) -> Vec<Range<i64>> {
        let mut filled = Vec::new();
        let mut left = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            let inside = overlap(&gap.range, range);
            let taken = without(&inside, if gap.lost { lost } else { &[] });
            if gap.lost {
                self.added.lost_entries -= length(&taken).cast_signed();
            }
            left.extend(without(&gap.range, &taken).into_iter().map(|range| Gap { range, ..gap.clone() }));
            filled.extend(taken);
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
                UsageEntry::Void => self.added.void_entries += 1,
                UsageEntry::Lost => self.added.lost_entries += 1,
                UsageEntry::End => self.added.end_entries += 1,
            }
        }
        if !keep_records {
            self.added.dropped_requests = self.added.requests;
            self.added.dropped_units = self.added.units;
        }
    }

    /// An entry that was counted leaves no record before it is let in: so none was dropped.
    pub(super) fn set_aside(&mut self, entry: &UsageEntry, keep_records: bool) {
        if let UsageEntry::Request(record) = entry
            && !keep_records
        {
            self.added.dropped_requests -= 1;
            let units = (record.units % UNITS_MODULUS.unsigned_abs()).cast_signed();
            self.added.dropped_units = (self.added.dropped_units - units).rem_euclid(UNITS_MODULUS);
        }
    }

    /// Returns true if the stream may be whole now and was not before: it has ended, or a gap was
    /// filled.
    pub(super) fn may_be_whole(&self) -> bool {
        self.added.end_entries > 0 || (self.gaps.is_empty() && !self.known_gaps.is_empty())
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

fn length(ranges: &[Range<i64>]) -> u64 {
    ranges.iter().map(|range| range.end.abs_diff(range.start)).sum()
}

/// Returns the intersection, which may be empty.
fn overlap(one: &Range<i64>, other: &Range<i64>) -> Range<i64> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// Returns the parts of `range` that lie in any of `others`, which are in order.
fn overlaps(range: &Range<i64>, others: &[Range<i64>]) -> impl Iterator<Item = Range<i64>> {
    others.iter().map(|other| overlap(range, other)).filter(|overlap| !overlap.is_empty())
}

/// Returns the rest of `range` without `holes`, which are in order.
fn without(range: &Range<i64>, holes: &[Range<i64>]) -> Vec<Range<i64>> {
    let mut left = Vec::new();
    let mut start = range.start;
    for hole in overlaps(range, holes) {
        left.push(start..hole.start);
        start = hole.end;
    }
    left.push(start..range.end);
    left.retain(|rest| !rest.is_empty());
    left
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
        let claim = book.claim(10..12, &[], NOW);
        assert_eq!(claim, Claim { fresh: vec![10..12], lost: Vec::new(), gap: 0..10, next_seq: 12 });
        StreamBook::new("edge-1/x/0".into(), 12, book.gaps)
    }

    #[test]
    fn rest_of_filled_gap_keeps_its_age() {
        let mut book = book_with_gap();
        assert_eq!(book.claim(4..6, &[], Micros(9)).fresh, [4..6]);
        let (closed, opened) = book.gap_changes();
        assert_eq!(closed, [&Gap { range: 0..10, opened_at: Some(5), lost: false, acceptance: None }]);
        assert_eq!(
            opened.iter().map(|gap| (gap.range.clone(), gap.opened_at)).collect::<Vec<_>>(),
            [(0..4, Some(5)), (6..10, Some(5))]
        );
    }

    #[test]
    fn lost_entry_opens_gap_once_and_late_entry_fills_it() {
        let mut book = book_with_gap();
        // Inside of the gap, booked before, and beyond the mark.
        let claim = book.claim(8..14, &[8..9, 11..13], Micros(9));
        assert_eq!((claim.fresh, claim.lost), (vec![8..10, 12..14], vec![8..9, 12..13]));
        let gaps = |book: &StreamBook| book.gaps.iter().map(|gap| (gap.range.clone(), gap.lost)).collect::<Vec<_>>();
        assert_eq!(gaps(&book), [(0..8, false), (8..9, true), (12..13, true)]);
        let again = book.claim(8..14, &[8..9, 11..13], Micros(10));
        assert_eq!((again.fresh_count(), again.lost_count()), (0, 0));
        assert_eq!(book.claim(12..14, &[], Micros(11)).fresh, [12..13]);
        assert_eq!(gaps(&book), [(0..8, false), (8..9, true)]);
        assert_eq!(book.added.lost_entries, -1, "it is lost no more");
    }

    #[test]
    fn gap_filled_in_same_booking_is_not_written() {
        let mut book = StreamBook::new("edge-1/x/0".into(), 0, Vec::new());
        book.claim(10..12, &[], NOW);
        book.claim(0..10, &[], NOW);
        assert_eq!(book.gap_changes(), (Vec::new(), Vec::new()));
        assert_eq!(book.mark(), 12);
    }

    #[test]
    fn unit_counters_wrap_without_overflow() {
        assert_eq!(sum_of_units(UNITS_MODULUS - 1, 1), 0);
        assert_eq!(sum_of_units(UNITS_MODULUS - 1, u64::MAX), UNITS_MODULUS - 2);
    }
}
