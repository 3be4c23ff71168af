//! FAT timestamps: 1980 to 2107 in steps of two seconds, always in UTC.

use crate::time::{Timestamp, civil};

/// 1980-01-01 00:00:00.
const EARLIEST: Timestamp = Timestamp::from_seconds(315_532_800);
/// 2107-12-31 23:59:58.
const LATEST: Timestamp = Timestamp::from_seconds(4_354_819_198);

/// A timestamp as fields of a directory slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DosTime {
    /// Years since 1980 (7 bits), month (4), day (5).
    pub date: u16,
    /// Hours (5 bits), minutes (6), half seconds (5).
    pub time: u16,
    /// Remainder of the half seconds, in units of 10 ms: 0 to 199.
    pub tenth: u8,
}

/// Returns whether FAT can store a time, apart from its resolution.
pub(super) fn representable(time: Timestamp) -> bool {
    (EARLIEST..=LATEST).contains(&time)
}

/// Encodes a time, or the nearest time that FAT can store.
pub(super) fn encode(time: Timestamp) -> DosTime {
    let time = time.clamp(EARLIEST, LATEST);
    let field = |value: u64| u16::try_from(value).expect("a time in range");
    let (year, month, day) = civil(time.seconds.div_euclid(86_400));
    let second = u64::try_from(time.seconds.rem_euclid(86_400)).expect("a part of a day");
    let tenth = second % 2 * 100 + u64::from(time.nanoseconds) / 10_000_000;
    DosTime {
        date: field(((year - 1980) << 9) | (month << 5) | day),
        time: field(((second / 3600) << 11) | (second / 60 % 60) << 5 | (second % 60 / 2)),
        tenth: u8::try_from(tenth).expect("below 200"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds are from `date -u -d ... +%s`.
    #[test]
    fn times_are_split() {
        let at = |seconds, nanoseconds| encode(Timestamp { seconds, nanoseconds });
        let fields = |y: u16, mo: u16, d: u16, h: u16, mi: u16, s: u16, tenth: u8| DosTime {
            date: ((y - 1980) << 9) | (mo << 5) | d,
            time: (h << 11) | (mi << 5) | (s / 2),
            tenth,
        };
        for (seconds, nanoseconds, expected) in [
            (315_532_800, 0, fields(1980, 1, 1, 0, 0, 0, 0)),
            (320_716_799, 0, fields(1980, 2, 29, 23, 59, 58, 100)),
            (951_782_400, 0, fields(2000, 2, 29, 0, 0, 0, 0)),
            (1_700_000_001, 999_999_999, fields(2023, 11, 14, 22, 13, 20, 199)),
            (1_700_000_000, 10_000_000, fields(2023, 11, 14, 22, 13, 20, 1)),
            (4_107_542_399, 0, fields(2100, 2, 28, 23, 59, 58, 100)),
            (4_107_542_400, 0, fields(2100, 3, 1, 0, 0, 0, 0)),
            (4_354_819_197, 500_000_000, fields(2107, 12, 31, 23, 59, 56, 150)),
            (4_354_819_198, 0, fields(2107, 12, 31, 23, 59, 58, 0)),
            // Outside the range.
            (4_354_819_198, 1, fields(2107, 12, 31, 23, 59, 58, 0)),
            (4_354_819_200, 0, fields(2107, 12, 31, 23, 59, 58, 0)),
            (i64::MAX, 0, fields(2107, 12, 31, 23, 59, 58, 0)),
            (315_532_799, 999_999_999, fields(1980, 1, 1, 0, 0, 0, 0)),
            (0, 0, fields(1980, 1, 1, 0, 0, 0, 0)),
            (i64::MIN, 0, fields(1980, 1, 1, 0, 0, 0, 0)),
        ] {
            assert_eq!(at(seconds, nanoseconds), expected, "{seconds}.{nanoseconds}");
        }
    }

    #[test]
    fn the_range_has_ends() {
        for (seconds, inside) in [
            (315_532_799, false),
            (315_532_800, true),
            (4_354_819_198, true),
            (4_354_819_199, false),
        ] {
            assert_eq!(representable(Timestamp::from_seconds(seconds)), inside, "{seconds}");
        }
    }
}
