//! Inputs that definitions are read with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::types;
use crate::formats::Formats;
use crate::gpt::{Architecture, PartitionType};
use crate::repart::Filter;

/// The inputs for reading definitions.
#[derive(Debug, Clone)]
pub struct Context {
    /// The root whose os-release and machine ID specifiers expand to; `None` for the root of the
    /// host.
    pub root: Option<PathBuf>,
    /// The native architecture, which types such as `root` and the specifier `%a` refer to.
    pub native: Architecture,
    /// The architecture that replaces the architecture of all types, if any.
    pub architecture: Option<Architecture>,
    /// The values of host specifiers.
    pub host: HostInfo,
    /// The file system formats that `Format=` can name.
    pub formats: Formats,
    /// Formats that override those in the files.
    pub overrides: Overrides,
    /// The definitions to read.
    pub filter: Filter,
    /// Bugs of systemd-repart to reproduce.
    pub compat: Compat,
}

impl Context {
    /// Returns the root of os-release and the machine ID.
    pub(super) fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// Returns the partition type that `Type=` names: by an identifier, such as `root`, or a UUID.
    ///
    /// `None` means that there is no type with that identifier. Types that depend on an
    /// architecture are those of [`Context::architecture`], if it is given.
    #[must_use]
    pub fn partition_type(&self, name: &str) -> Option<PartitionType> {
        match (types::parse(name, self.native)?, self.architecture) {
            (PartitionType::Of(role, _), Some(architecture)) => {
                Some(PartitionType::Of(role, architecture))
            }
            (found, _) => Some(found),
        }
    }
}

/// Values of specifiers that depend on the host. An image that uses them can't be reproduced on
/// another host.
#[derive(Debug, Clone, Default)]
pub struct HostInfo {
    /// The boot ID: `%b`.
    pub boot_id: Option<String>,
    /// The host name: `%H`, and `%l` without the domain.
    pub name: Option<String>,
    /// The pretty host name: `%q`.
    pub pretty_name: Option<String>,
    /// The kernel release: `%v`.
    pub kernel: Option<String>,
}

/// Formats that override those in the files.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Replaces every `Format=`.
    pub all: Option<String>,
    /// Formats by designator (`root`, `usr`, `esp`...), for partitions with or without a `Format=`.
    pub designators: BTreeMap<String, String>,
}

/// Bugs of systemd-repart to reproduce, for images identical to those that it writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compat {
    /// `GrowFileSystem=no` is ignored unless the partition is read-only.
    pub grow: bool,
    /// `Flags=` with a bit below 48 clears all attributes of the partition.
    pub flags: bool,
}
