//! Partition types as systemd displays them.

use crate::gpt::PartitionType;

/// Returns the name of a partition type, or its UUID if systemd has no name for it.
#[must_use]
pub fn type_name(partition_type: PartitionType) -> String {
    match partition_type {
        PartitionType::Other(_) | PartitionType::BiosBoot => partition_type.guid().to_string(),
        _ => partition_type.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_shown() {
        let bios_boot = "21686148-6449-6e6f-744e-656564454649";
        assert_eq!(type_name(PartitionType::BiosBoot), bios_boot);
        assert_eq!(type_name(PartitionType::Esp), "esp");
    }
}
