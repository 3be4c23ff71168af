//! Parses values in systemd's syntax.

use crate::gpt::Architecture;

/// Parses a boolean.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// Units of sizes, largest first.
const UNITS: [(&str, u32); 8] =
    [("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10), ("B", 0), ("", 0)];

/// Parses a size in bytes: numbers with units in decreasing order, which are added up.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let mut rest = text.trim_start();
    let mut sum = 0u64;
    let mut units = &UNITS[..];
    loop {
        let (whole, after) = digits(rest.strip_prefix('+').unwrap_or(rest));
        let whole: u64 = whole.parse().ok()?;
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        let after = after.trim_start();
        let at = units.iter().position(|(unit, _)| after.starts_with(unit))?;
        let (unit, shift) = units[at];
        let part = u128::from(whole) << shift;
        sum = sum.checked_add(u64::try_from(part + fraction_of(fraction, shift)).ok()?)?;
        units = &units[at + 1..];
        rest = after[unit.len()..].trim_start();
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Returns the value of fractional digits in bytes of a unit of `1 << shift` bytes, rounded down.
fn fraction_of(digits: &str, shift: u32) -> u128 {
    // Further digits do not change the number of bytes even for the largest unit.
    let digits = &digits[..digits.len().min(18)];
    let scale = digits.bytes().fold(1, |scale, _| scale * 10);
    digits.parse::<u128>().map_or(0, |value| (value << shift) / scale)
}

/// Parses an unsigned integer: decimal, hexadecimal with `0x`, octal with `0o` or `0`, binary with
/// `0b`.
#[must_use]
pub fn unsigned(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        [b'0', b'o' | b'O', ..] => (&text[2..], 8),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let plain = digits.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| plain)
}

/// Parses the name of an architecture.
#[must_use]
pub fn architecture(text: &str) -> Option<Architecture> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_sums() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1K", Some(1024)),
            ("1.5G", Some(1_610_612_736)),
            ("10M 5K", Some(10_490_880)),
            ("10M5K3", Some(10_490_883)),
            ("1G 1G", None),
            ("5K 10M", None),
            ("100B", Some(100)),
            ("1.K", Some(1024)),
            (" 1 K ", Some(1024)),
            ("+1K", Some(1024)),
            ("16E", None),
            ("-1", None),
            ("", None),
            ("K", None),
            ("1KB", None),
            ("1k", None),
            ("1.5.5G", None),
        ] {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn other_values() {
        for (text, expected) in
            [("Yes", Some(true)), ("ON", Some(true)), ("f", Some(false)), ("", None), ("2", None)]
        {
            assert_eq!(boolean(text), expected);
        }
        for (text, expected) in [
            ("0", Some(0)),
            ("0x8000000000000000", Some(1 << 63)),
            ("010", Some(8)),
            ("0b101", Some(5)),
            ("12", Some(12)),
            ("-1", None),
            ("+1", None),
            ("0x", None),
            ("", None),
        ] {
            assert_eq!(unsigned(text), expected, "{text:?}");
        }
        assert_eq!(architecture("x86_64"), Some(Architecture::X86_64));
        assert_eq!(architecture("arm64"), Some(Architecture::Arm64));
        assert_eq!(architecture("z80"), None);
    }
}
