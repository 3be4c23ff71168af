//! Timestamps. This crate never reads a clock: times come from the tree or from the caller.

/// A point in time: whole seconds since 1970-01-01 00:00 UTC, and nanoseconds after that second.
///
/// Ordered by time. Before 1970 the seconds are negative and the nanoseconds still count forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds since the epoch; may be negative.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Returns the timestamp of a whole second.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }
}

/// Returns the year, month and day of a day since 1970-01-01, in the Gregorian calendar. The day
/// must not be before the year 1.
pub(crate) fn civil(days: i64) -> (u64, u64, u64) {
    // Years that begin in March have their leap day at the end. Day 0 here is 0000-03-01.
    let days = u64::try_from(days + 719_468).expect("not before the year 1");
    let (era, day) = (days / 146_097, days % 146_097); // eras of 400 years
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March; five months from March or August have 153 days
    let day = day - (153 * month + 2) / 5 + 1;
    let (carry, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `date -u -d @SECONDS +%F`.
    #[test]
    fn days_have_dates() {
        for (seconds, expected) in [
            (-2_208_988_800, (1900, 1, 1)),
            (-2_203_891_201, (1900, 2, 28)),
            (-2_203_891_200, (1900, 3, 1)),
            (-1, (1969, 12, 31)),
            (0, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (5_869_583_999, (2155, 12, 31)),
        ] {
            assert_eq!(civil(i64::div_euclid(seconds, 86_400)), expected, "{seconds}");
        }
    }
}
