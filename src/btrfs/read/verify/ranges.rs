//! Sets of addresses.

use std::ops::Range;

use super::super::super::address::LogicalAddr;

/// Ranges that neither overlap nor touch, in ascending order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<LogicalAddr>>);

impl FromIterator<Range<LogicalAddr>> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range<LogicalAddr>>>(ranges: I) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_by_key(|range| range.start);
        let mut all: Vec<Range<LogicalAddr>> = Vec::new();
        for range in sorted {
            match all.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => all.push(range),
            }
        }
        Self(all)
    }
}

impl Ranges {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<LogicalAddr>> {
        self.0.iter()
    }

    /// Returns whether a range is entirely within one of these ranges.
    pub(super) fn contain(&self, range: &Range<LogicalAddr>) -> bool {
        let next = self.0.partition_point(|own| own.end <= range.start);
        range.is_empty()
            || self.0.get(next).is_some_and(|own| own.start <= range.start && range.end <= own.end)
    }

    /// Returns the first of these ranges that overlaps a range.
    pub(super) fn overlap(&self, range: &Range<LogicalAddr>) -> Option<&Range<LogicalAddr>> {
        let next = self.0.partition_point(|own| own.end <= range.start);
        self.0.get(next).filter(|own| own.start < range.end && !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(range: Range<u64>) -> Range<LogicalAddr> {
        LogicalAddr(range.start)..LogicalAddr(range.end)
    }

    #[test]
    fn ranges_are_merged_and_looked_up() {
        let ranges: Ranges = [8..9, 0..2, 2..3, 1..2, 5..5].map(addresses).into_iter().collect();
        assert_eq!(ranges.0, [0..3, 8..9].map(addresses));
        let cases = [
            (0..3, true, Some(0..3)),
            (1..2, true, Some(0..3)),
            (2..4, false, Some(0..3)),
            (3..8, false, None),
            (3..9, false, Some(8..9)),
            (9..10, false, None),
            (4..4, true, None),
        ];
        for (range, contained, overlapping) in cases {
            let (range, overlapping) = (addresses(range), overlapping.map(addresses));
            assert_eq!(ranges.contain(&range), contained, "{range:?}");
            assert_eq!(ranges.overlap(&range), overlapping.as_ref(), "{range:?}");
        }
    }
}
