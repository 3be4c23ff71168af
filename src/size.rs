//! Sizes in bytes and arithmetic on them.

/// 1024 bytes.
pub(crate) const KIB: u64 = 1 << 10;
/// 1024 KiB.
pub(crate) const MIB: u64 = 1 << 20;
/// 1024 MiB.
pub(crate) const GIB: u64 = 1 << 30;

/// Rounds `value` up to a multiple of `unit`, saturating at the last multiple that fits.
#[must_use]
pub(crate) const fn round_up(value: u64, unit: u64) -> u64 {
    match value.checked_next_multiple_of(unit) {
        Some(rounded) => rounded,
        None => u64::MAX / unit * unit,
    }
}

/// Rounds `value` down to a multiple of `unit`.
#[must_use]
pub(crate) const fn round_down(value: u64, unit: u64) -> u64 {
    value / unit * unit
}

/// Parses a size: a number of bytes, or a number with the suffix K, M, G or T (powers of 1024).
/// `KiB` and similar suffixes are accepted too. The number may have a fraction, as in `1.5G`, if
/// the size is a whole number of bytes.
///
/// Returns `None` for anything else and for a size that does not fit in 64 bits.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let unit = match suffix {
        "" | "B" => 1,
        "K" | "KiB" => KIB,
        "M" | "MiB" => MIB,
        "G" | "GiB" => GIB,
        "T" | "TiB" => GIB << 10,
        _ => return None,
    };
    let Some((whole, fraction)) = number.split_once('.') else {
        return number.parse::<u64>().ok()?.checked_mul(unit);
    };
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit);
    let is_whole = product.is_multiple_of(scale.into());
    let part = u64::try_from(product / u128::from(scale)).ok().filter(|_| is_whole)?;
    whole.checked_add(part)
}

/// Returns a size in the largest unit that divides it, with the unit.
fn in_units(bytes: u64) -> (u64, &'static str) {
    let units = [(GIB << 10, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K")];
    let divides = |&(unit, _): &(u64, _)| bytes >= unit && bytes.is_multiple_of(unit);
    units.into_iter().find(divides).map_or((bytes, ""), |(unit, name)| (bytes / unit, name))
}

/// Formats a size in the largest unit that divides it, as in `34 MiB`.
#[must_use]
pub(crate) fn exact(bytes: u64) -> String {
    match in_units(bytes) {
        (bytes, "") => count(bytes, "byte"),
        (number, unit) => format!("{number} {unit}iB"),
    }
}

/// Formats a size as the value of an option, as in `34M`.
#[must_use]
pub(crate) fn typed(bytes: u64) -> String {
    let (number, unit) = in_units(bytes);
    format!("{number}{unit}")
}

/// Formats a number of things whose name has a regular plural.
#[must_use]
pub(crate) fn count(number: u64, name: &str) -> String {
    match number {
        1 => format!("1 {name}"),
        number => format!("{number} {name}s"),
    }
}

const UNITS: [(u32, char); 6] = [(60, 'E'), (50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];

/// Formats a number of bytes in the largest unit that it reaches, truncated to one decimal, as
/// systemd does.
#[must_use]
pub(crate) fn format_bytes(bytes: u64) -> String {
    let Some((shift, unit)) = UNITS.into_iter().find(|&(shift, _)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    // Truncate to a whole number of the next smaller unit first, as systemd does.
    let tenth = ((bytes >> (shift - 10)) * 10) >> 10;
    match tenth % 10 {
        0 => format!("{}{unit}", tenth / 10),
        part => format!("{}.{part}{unit}", tenth / 10),
    }
}

/// Space to leave free in a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Headroom {
    /// At least this many bytes.
    Bytes(u64),
    /// At least this percentage of the space that the tree itself takes.
    Percent(u32),
}

impl Headroom {
    /// Returns the headroom in bytes for a tree that takes `used` bytes.
    #[must_use]
    pub fn bytes(self, used: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let bytes = (u128::from(used) * u128::from(percent)).div_ceil(100);
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_cut_to_one_decimal() {
        for (bytes, expected) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1K"),
            (1536, "1.5K"),
            (20_971_520, "20M"),
            (62_550_016, "59.6M"),
            (208_568_320, "198.9M"),
            (2_254_857_831, "2G"),
            (2_255_486_976, "2.1G"),
            (u64::MAX, "15.9E"),
        ] {
            assert_eq!(format_bytes(bytes), expected);
        }
    }

    #[test]
    fn sizes_are_exact() {
        for (bytes, words, value) in [
            (0, "0 bytes", "0"),
            (1, "1 byte", "1"),
            (1023, "1023 bytes", "1023"),
            (1024, "1 KiB", "1K"),
            (1025, "1025 bytes", "1025"),
            (34 << 20, "34 MiB", "34M"),
            ((1 << 30) + (1 << 20), "1025 MiB", "1025M"),
            (3 << 40, "3 TiB", "3T"),
        ] {
            assert_eq!((&*exact(bytes), &*typed(bytes)), (words, value));
            assert_eq!(parse(value), Some(bytes));
        }
    }

    #[test]
    fn sizes_are_parsed() {
        for (text, value) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("1K", Some(1024)),
            ("300M", Some(300 << 20)),
            ("10GiB", Some(10 << 30)),
            ("2T", Some(2 << 40)),
            ("", None),
            ("K", None),
            ("-1", None),
            ("1.5G", Some(3 << 29)),
            ("0.25KiB", Some(256)),
            ("3.0", Some(3)),
            ("16383.5T", Some(32_767 << 39)),
            ("1.3K", None),
            ("1.5", None),
            ("1.", None),
            (".5G", None),
            ("1.5.5G", None),
            ("1.+5G", None),
            ("1.00000000000000000000G", None),
            ("1GB", None),
            ("1k", None),
            ("16777216T", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }
}
