//! Files that UEFI firmware and boot loaders read: their names and formats.

mod entry;
mod fat_path;
mod pe;
#[cfg(test)]
pub(crate) mod samples;

pub(super) use entry::{Entry, without_counter};
pub(super) use fat_path::{find, spelled};
pub(super) use pe::Pe;

use crate::error::Result;
use crate::gpt::Architecture;
use crate::tree::{InodeId, Kind, Tree};

/// Number of bytes of a text file that are read.
const HEAD: usize = 1 << 20;

/// An architecture of UEFI firmware.
#[derive(Debug)]
pub(super) struct Firmware {
    architecture: Architecture,
    /// Name of the architecture in names of files.
    name: &'static str,
    /// `Machine` of its programs.
    machines: &'static [u16],
}

/// Names by the UEFI Specification, 3.5.1.1, and numbers by the PE format.
const FIRMWARE: [Firmware; 8] = [
    Firmware { architecture: Architecture::X86, name: "ia32", machines: &[0x014c] },
    Firmware { architecture: Architecture::X86_64, name: "x64", machines: &[0x8664] },
    Firmware { architecture: Architecture::Arm, name: "arm", machines: &[0x01c2, 0x01c4] },
    Firmware { architecture: Architecture::Arm64, name: "aa64", machines: &[0xaa64] },
    Firmware { architecture: Architecture::Ia64, name: "ia64", machines: &[0x0200] },
    Firmware { architecture: Architecture::Loongarch64, name: "loongarch64", machines: &[0x6264] },
    Firmware { architecture: Architecture::Riscv32, name: "riscv32", machines: &[0x5032] },
    Firmware { architecture: Architecture::Riscv64, name: "riscv64", machines: &[0x5064] },
];

impl Firmware {
    /// Returns the firmware of an architecture, if there is UEFI firmware for it.
    pub(super) fn of(architecture: Architecture) -> Option<&'static Self> {
        FIRMWARE.iter().find(|firmware| firmware.architecture == architecture)
    }

    /// Returns the path on the ESP of the program that firmware starts from a removable disk.
    pub(super) fn removable_path(&self) -> String {
        format!("EFI/BOOT/BOOT{}.EFI", self.name.to_ascii_uppercase())
    }

    /// Returns the name of systemd-boot's program.
    pub(super) fn systemd_boot(&self) -> String {
        format!("systemd-boot{}.efi", self.name)
    }

    /// Returns whether the firmware can run a program.
    pub(super) fn runs(&self, program: &Pe) -> bool {
        self.machines.contains(&program.machine)
    }
}

/// Returns the text of a file, up to its first mebibyte; `None` if the node is not a regular file.
pub(super) fn text(tree: &Tree, file: InodeId) -> Result<Option<String>> {
    let Kind::File { .. } = tree.inode(file).kind else { return Ok(None) };
    let bytes = tree.read_head(file, HEAD)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
