//! Ways to make an image bootable.

/// How boot loader and kernels get onto the boot partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum BootMethod {
    /// The boot partitions hold only files that the tree has there.
    #[default]
    None,
    /// Add systemd-boot from the tree, with an entry for each kernel and with all unified kernel
    /// images.
    SystemdBoot,
    /// Add the unified kernel image of the tree, for firmware to start it.
    Uki,
}

impl BootMethod {
    /// Returns the name of the method.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SystemdBoot => "systemd-boot",
            Self::Uki => "uki",
        }
    }
}
