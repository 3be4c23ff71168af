//! EFI programs, and trees with them, for tests.

use crate::tree::{Metadata, Tree, TreeBuilder};

/// `Machine` of x86-64.
pub(crate) const X64: u16 = 0x8664;

/// `Machine` of 64-bit Arm.
const AA64: u16 = 0xaa64;

/// Returns a program of headers and sections.
pub(crate) fn program(machine: u16, sections: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3c, 0);
    bytes.extend(64_u32.to_le_bytes());
    bytes.extend(b"PE\0\0");
    bytes.extend(machine.to_le_bytes());
    bytes.extend(u16::try_from(sections.len()).unwrap().to_le_bytes());
    bytes.resize(64 + 24, 0);
    let mut at = u32::try_from(bytes.len() + 40 * sections.len()).unwrap();
    for (name, text) in sections {
        let size = u32::try_from(text.len()).unwrap();
        let mut record = [0; 40];
        record[..name.len()].copy_from_slice(name.as_bytes());
        record[8..12].copy_from_slice(&size.to_le_bytes());
        record[16..20].copy_from_slice(&size.to_le_bytes());
        record[20..24].copy_from_slice(&at.to_le_bytes());
        bytes.extend(record);
        at += size;
    }
    sections.iter().for_each(|(_, text)| bytes.extend(text.as_bytes()));
    bytes
}

/// Returns a tree of files, whose contents are given by a word and an argument:
///
/// - `->`: a symlink with this target
/// - `efi` and `arm`: a program with this text
/// - `sd-boot`: systemd-boot of this version
/// - `uki`: a unified kernel image with a version and this command line
///
/// Anything else is text.
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    let mut builder = TreeBuilder::new(Metadata { mode: 0o755, ..Metadata::default() }).unwrap();
    for (path, content) in files {
        let metadata = Metadata { mode: 0o644, ..Metadata::default() };
        let (word, argument) = content.split_once(' ').unwrap_or((content, ""));
        let bytes = match word {
            "->" => {
                builder.symlink(path, argument, metadata).unwrap();
                continue;
            }
            "efi" => program(X64, &[(".text", argument)]),
            "arm" => program(AA64, &[(".text", argument)]),
            "sd-boot" => {
                let magic = format!("#### LoaderInfo: systemd-boot {argument} ####");
                program(X64, &[(".sdmagic", &magic)])
            }
            "uki" => {
                let (version, options) = argument.split_once(' ').unwrap_or((argument, ""));
                let sections = [(".uname", version), (".cmdline", options), (".linux", "kernel")];
                program(X64, &sections)
            }
            _ => content.as_bytes().to_vec(),
        };
        builder.file(path, bytes, metadata).unwrap();
    }
    builder.finish().unwrap()
}
