//! Points in time. There is no clock in this crate: times come from the tree or from the caller.

/// A point in time: whole seconds since 1970-01-01 00:00 UTC, and nanoseconds after that second.
///
/// Ordered by time. Before 1970 the seconds are negative and the nanoseconds still count forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds since the epoch, any sign.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A whole second.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }
}
