//! Numbers and times of headers and of PAX records.

use super::fault::{Fault, Result};
use crate::name::Escaped;
use crate::time::Timestamp;

/// Parses a numeric field of a header: octal digits, or a two's complement number in base 256 if
/// the first bit is set.
pub(super) fn of_field(name: &str, field: &[u8]) -> Result<i64> {
    let fail = |rule: &str| Fault::new(format!("{name} {rule}: {}", Escaped(field)));
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            let low = i128::from(first & 0x7F);
            let start = if first & 0x40 == 0 { low } else { low - 0x80 };
            let number = rest.iter().fold(start, |number, &byte| number << 8 | i128::from(byte));
            i64::try_from(number).map_err(|_| fail("has more than 64 bits"))
        }
        _ => {
            let text = field.trim_ascii_start();
            let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            let (digits, rest) = text.split_at(end);
            if digits.is_empty() || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
                return Err(fail("is not a number"));
            }
            let digits = std::str::from_utf8(digits).expect("only digits");
            i64::from_str_radix(digits, 8).map_err(|_| fail("is not an octal number"))
        }
    }
}

/// Parses a decimal number of a PAX record or a sparse map.
pub(super) fn decimal(name: &str, text: &[u8]) -> Result<u64> {
    let fail = || Fault::new(format!("{name} is not a number: {}", Escaped(text)));
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(fail());
    }
    let digits = std::str::from_utf8(text).expect("only digits");
    digits.parse().ok().filter(|&number| i64::try_from(number).is_ok()).ok_or_else(fail)
}

/// Parses a time of a PAX record: a decimal number of seconds, rounded down to nanoseconds.
pub(super) fn time(text: &[u8]) -> Result<Timestamp> {
    const SECOND: i128 = 1_000_000_000;
    let fail = || Fault::new(format!("mtime is not a time: {}", Escaped(text)));
    let (is_negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(fail());
    }
    let whole = decimal("mtime", whole).map_err(|_| fail())?;
    let (kept, rest) = fraction.split_at(fraction.len().min(9));
    let padded = kept.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = padded.fold(0, |number, digit| number * 10 + i128::from(digit - b'0'));
    let is_inexact = rest.iter().any(|&digit| digit != b'0');
    let absolute = i128::from(whole) * SECOND + nanoseconds;
    let total = if is_negative { -absolute - i128::from(is_inexact) } else { absolute };
    Ok(Timestamp {
        seconds: i64::try_from(total.div_euclid(SECOND)).map_err(|_| fail())?,
        nanoseconds: u32::try_from(total.rem_euclid(SECOND)).expect("below 10^9"),
    })
}

/// Converts a number to a user or group id.
pub(super) fn id(name: &str, number: i64) -> Result<u32> {
    let id = u32::try_from(number).ok().filter(|&id| id != u32::MAX);
    id.ok_or_else(|| {
        Fault::new(format!("{name} {number} is not an id"))
            .with_remedy("use ids from 0 to 2^32 - 2")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_2_numbers() {
        let base_256 = |first: u8, last: u8| [&[first; 1][..], &[0; 10], &[last]].concat();
        for (field, expected) in [
            (b"0000644\0".to_vec(), Some(0o644)),
            (b"   644 \0".to_vec(), Some(0o644)),
            (b"77777777".to_vec(), Some(0o77_777_777)),
            (base_256(0x80, 5), Some(5)),
            ([0xFF; 12].to_vec(), Some(-1)),
            (vec![0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE], Some(-2)),
            (vec![0x80, 0, 0, 0, 0x80, 0, 0, 0], Some(1 << 31)),
            (base_256(0x81, 0), None),
            (b"        ".to_vec(), None),
            (vec![0; 8], None),
            (b"0000684\0".to_vec(), None),
            (b"64\x001".to_vec(), None),
            (b"-1\0".to_vec(), None),
        ] {
            assert_eq!(of_field("size", &field).ok(), expected, "{field:?}");
        }
    }

    #[test]
    fn trap_2_times() {
        for (text, expected) in [
            ("0", Some((0, 0))),
            ("1700000000.5", Some((1_700_000_000, 500_000_000))),
            ("-1.5", Some((-2, 500_000_000))),
            ("-1", Some((-1, 0))),
            ("-0.000000001", Some((-1, 999_999_999))),
            ("1.1234567899", Some((1, 123_456_789))),
            ("-1.0000000001", Some((-2, 999_999_999))),
            ("-1.0000000000", Some((-1, 0))),
            ("9223372036854775807", Some((i64::MAX, 0))),
            ("9223372036854775808", None),
            ("5.", Some((5, 0))),
            (".5", None),
            ("1e9", None),
            ("--1", None),
            ("+1", None),
            ("1.-5", None),
            ("", None),
        ] {
            let expected =
                expected.map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds });
            assert_eq!(time(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn ids_are_below_the_last() {
        assert_eq!(id("uid", 4_294_967_294).ok(), Some(4_294_967_294));
        assert!(id("uid", 4_294_967_295).is_err() && id("uid", -1).is_err());
    }
}
