//! Points in time as people write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// Reason why a text is not a time, and a text that is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotATime {
    pub(super) rule: String,
    pub(super) remedy: String,
}

/// Parses seconds since 1970, also after an `@`, a date or a time of RFC 3339. A date is its
/// midnight in UTC.
pub(super) fn parse(text: &str) -> Result<i64, NotATime> {
    let fail = |rule: &str, remedy: &str| {
        Err(NotATime { rule: format!("{text:?} {rule}"), remedy: remedy.into() })
    };
    if let Ok(seconds) = text.strip_prefix('@').unwrap_or(text).parse() {
        return Ok(seconds);
    }
    let is_iso = text.len() >= 10 && [4, 7].iter().all(|&at| text.as_bytes()[at] == b'-');
    let is_local = is_iso && text.parse::<DateTime>().is_ok();
    if is_iso && !text.contains('[') {
        let time = match text.parse::<Date>() {
            Ok(date) if text.len() == 10 => {
                Offset::UTC.to_timestamp(date.to_datetime(Time::midnight()))
            }
            _ => text.parse::<Timestamp>(),
        };
        match time {
            Ok(time) if time.subsec_nanosecond() != 0 => {
                return fail("has a fraction of a second", "give whole seconds");
            }
            Ok(time) => return Ok(time.as_second()),
            Err(_) if is_local => {
                return fail("has no time zone", &format!("give {text}Z for UTC"));
            }
            Err(_) => {}
        }
    }
    fail(
        "is not a time",
        "give seconds since 1970, a date such as 2026-11-30 or a time such as \
         2026-11-30T12:00:00Z",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `date -u -d TEXT +%s`.
    #[test]
    fn times_are_parsed() {
        for (text, seconds) in [
            ("0", 0),
            ("-1", -1),
            ("@1700000000", 1_700_000_000),
            ("20261130", 20_261_130),
            ("1970-01-01", 0),
            ("2026-11-30", 1_795_996_800),
            ("2026-11-30T12:00:00Z", 1_796_040_000),
            ("2026-11-30t12:00:00z", 1_796_040_000),
            ("2026-11-30 12:00:00Z", 1_796_040_000),
            ("2026-11-30T12:00:00.000Z", 1_796_040_000),
            ("2026-11-30T12:00:00+02:00", 1_796_032_800),
            ("1900-01-01", -2_208_988_800),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, word) in [
            ("", "not a time"),
            ("@", "not a time"),
            ("now", "not a time"),
            ("1.5", "not a time"),
            ("2026-11", "not a time"),
            ("2026-02-30", "not a time"),
            ("2026-1-1", "not a time"),
            ("30.11.2026", "not a time"),
            ("2026-11-30T25:00:00Z", "not a time"),
            ("2026-11-30T12:00:00+02:00[Europe/Berlin]", "not a time"),
            ("2026-11-30T12:00:00", "no time zone"),
            ("2026-11-30 12:00", "no time zone"),
            ("2026-11-30T12:00:00.5Z", "fraction"),
            ("ä026-11-30", "not a time"),
        ] {
            let NotATime { rule, .. } = parse(text).unwrap_err();
            assert!(rule.contains(word), "{text}: {rule}");
        }
    }
}
