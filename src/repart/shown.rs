//! Sizes and types as systemd shows them.

use crate::gpt::PartitionType;

/// The name of a type, or its UUID if systemd has no name for it.
#[must_use]
pub fn type_name(partition_type: PartitionType) -> String {
    match partition_type {
        PartitionType::Other(_) | PartitionType::BiosBoot => partition_type.guid().to_string(),
        _ => partition_type.name(),
    }
}

const UNITS: [(u32, char); 6] = [(60, 'E'), (50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];

/// A number of bytes in the largest unit that it reaches, cut to one decimal.
#[must_use]
pub fn shown(bytes: u64) -> String {
    let Some((shift, unit)) = UNITS.into_iter().find(|&(shift, _)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    let tenth = (u128::from(bytes) * 10) >> shift;
    match tenth % 10 {
        0 => format!("{}{unit}", tenth / 10),
        part => format!("{}.{part}{unit}", tenth / 10),
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
            (u64::MAX, "15.9E"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }

    #[test]
    fn types_are_shown() {
        let bios_boot = "21686148-6449-6e6f-744e-656564454649";
        assert_eq!(type_name(PartitionType::BiosBoot), bios_boot);
        assert_eq!(type_name(PartitionType::Esp), "esp");
    }
}
