//! Detects the architecture of a tree from its programs, never from the host.
//!
//! A few paths that nearly every system has are checked first, then every file in the directories
//! for programs and libraries, in tree order. Symlinks are resolved as the booted system would
//! resolve them: inside the tree, with absolute targets relative to the tree's root.

use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::tree::{InodeId, Kind, Tree};

/// Files that are checked first, because a tree may hold some programs of another architecture.
const WELL_KNOWN: [&[u8]; 8] = [
    b"sbin/init",
    b"usr/lib/systemd/systemd",
    b"bin/sh",
    b"usr/bin/sh",
    b"bin/busybox",
    b"usr/bin/env",
    b"usr/bin/coreutils",
    b"init",
];

/// Directories of programs and libraries.
const PLACES: [&[u8]; 8] =
    [b"usr/bin", b"usr/sbin", b"bin", b"sbin", b"usr/lib", b"usr/lib64", b"lib", b"lib64"];

/// Detects the architecture of a tree.
///
/// # Errors
/// [`Error::Parameter`] if no program of the tree reveals its architecture; [`Error::Source`] if a
/// program can't be read.
pub(super) fn detect(tree: &Tree) -> Result<Architecture> {
    for path in WELL_KNOWN {
        if let Some(file) = tree.resolve(path)
            && let Some(architecture) = read(tree, file)?
        {
            return Ok(architecture);
        }
    }
    for path in PLACES {
        let Some(directory) = tree.find(path) else { continue };
        let mut pending = vec![directory];
        while let Some(id) = pending.pop() {
            if let Some(architecture) = read(tree, id)? {
                return Ok(architecture);
            }
            pending.extend(tree.entries(id).iter().rev().map(|entry| entry.inode()));
        }
    }
    Err(Error::parameter(
        "architecture",
        "the tree has no program to detect the architecture from",
        "give the architecture, for example x86-64 or arm64",
    ))
}

/// Returns the architecture of a file, if the file is a program or library.
fn read(tree: &Tree, file: InodeId) -> Result<Option<Architecture>> {
    let mut header = [0; 20];
    match tree.inode(file).kind {
        Kind::File { size, .. } if size >= header.len() as u64 => {
            tree.open(file)?.read(0, &mut header)?;
            Ok(architecture(&header))
        }
        _ => Ok(None),
    }
}

/// Parses the architecture from `EI_CLASS`, `EI_DATA` and `e_machine` at the start of an ELF file.
fn architecture(header: &[u8; 20]) -> Option<Architecture> {
    use Architecture as A;
    let [0x7F, b'E', b'L', b'F', class, data, .., low, high] = *header else { return None };
    let wide = match class {
        1 => false,
        2 => true,
        _ => return None,
    };
    let (little, machine) = match data {
        1 => (true, u16::from_le_bytes([low, high])),
        2 => (false, u16::from_be_bytes([low, high])),
        _ => return None,
    };
    Some(match (machine, wide, little) {
        (3, false, _) => A::X86,
        (62, ..) => A::X86_64, // EI_CLASS is 32 bits in the x32 ABI
        (40, false, _) => A::Arm,
        (183, ..) => A::Arm64,
        (243, false, _) => A::Riscv32,
        (243, true, _) => A::Riscv64,
        (20, false, _) => A::Ppc,
        (21, true, false) => A::Ppc64,
        (21, true, true) => A::Ppc64Le,
        (22, false, _) => A::S390,
        (22, true, _) => A::S390x,
        (258, true, _) => A::Loongarch64,
        (8, false, false) => A::Mips,
        (8, false, true) => A::MipsLe,
        (8, true, false) => A::Mips64,
        (8, true, true) => A::Mips64Le,
        (15, ..) => A::Parisc,
        (41 | 0x9026, true, _) => A::Alpha,
        (45 | 93 | 195, ..) => A::Arc,
        (50, ..) => A::Ia64,
        (191, ..) => A::Tilegx,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tree::{Metadata, Node, NodeId, TreeBuilder};

    fn elf(class: u8, data: u8, machine: [u8; 2]) -> [u8; 20] {
        let mut header = [0; 20];
        header[..6].copy_from_slice(&[0x7F, b'E', b'L', b'F', class, data]);
        header[18..].copy_from_slice(&machine);
        header
    }

    const ARM64: [u8; 2] = [183, 0];

    /// The machine numbers are those of binutils' `elf/common.h`.
    #[test]
    fn machines_are_told_apart() {
        for (class, data, machine, expected) in [
            (2, 1, [62, 0], Some(Architecture::X86_64)),
            (1, 1, [62, 0], Some(Architecture::X86_64)),
            (1, 1, [3, 0], Some(Architecture::X86)),
            (2, 1, ARM64, Some(Architecture::Arm64)),
            (1, 1, [40, 0], Some(Architecture::Arm)),
            (2, 1, [243, 0], Some(Architecture::Riscv64)),
            (1, 1, [243, 0], Some(Architecture::Riscv32)),
            (2, 2, [0, 21], Some(Architecture::Ppc64)),
            (2, 1, [21, 0], Some(Architecture::Ppc64Le)),
            (2, 2, [0, 22], Some(Architecture::S390x)),
            (2, 1, [2, 1], Some(Architecture::Loongarch64)),
            (1, 2, [0, 8], Some(Architecture::Mips)),
            (2, 1, [8, 0], Some(Architecture::Mips64Le)),
            (2, 1, [0x26, 0x90], Some(Architecture::Alpha)),
            (2, 1, [0, 0], None),
            (3, 1, [62, 0], None),
            (2, 3, [62, 0], None),
        ] {
            assert_eq!(architecture(&elf(class, data, machine)), expected, "{machine:?}");
        }
        assert_eq!(architecture(&[0; 20]), None);
    }

    fn file(builder: &mut TreeBuilder, parent: NodeId, name: &str, bytes: &[u8]) {
        let content = builder.content(Arc::new(bytes.to_vec())).unwrap();
        let node = Node::File { size: bytes.len() as u64, content };
        builder.add(parent, name.as_bytes(), Metadata::default(), node).unwrap();
    }

    fn directory(builder: &mut TreeBuilder, parent: NodeId, name: &str) -> NodeId {
        builder.add(parent, name.as_bytes(), Metadata::default(), Node::Directory).unwrap()
    }

    fn link(builder: &mut TreeBuilder, parent: NodeId, name: &str, target: &str) {
        let node = Node::Symlink(target.as_bytes().to_vec());
        builder.add(parent, name.as_bytes(), Metadata::default(), node).unwrap();
    }

    #[test]
    fn symlinks_stay_in_the_tree() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let usr = directory(&mut builder, TreeBuilder::ROOT, "usr");
        let sbin = directory(&mut builder, usr, "sbin");
        let lib = directory(&mut builder, usr, "lib");
        link(&mut builder, TreeBuilder::ROOT, "sbin", "usr/sbin");
        link(&mut builder, TreeBuilder::ROOT, "lib", "/usr/../../usr/lib");
        link(&mut builder, sbin, "init", "/lib/./pid1");
        link(&mut builder, lib, "loop", "loop");
        file(&mut builder, lib, "pid1", &elf(2, 1, ARM64));
        file(&mut builder, lib, "a-script", b"#!/bin/sh\necho a script of some length\n");
        let tree = builder.finish().unwrap();
        assert_eq!(tree.resolve(b"sbin/init"), tree.find(b"usr/lib/pid1"));
        assert_eq!(tree.resolve(b"lib/loop"), None);
        assert_eq!(tree.resolve(b"lib/nothing"), None);
        assert_eq!(detect(&tree).unwrap(), Architecture::Arm64);
    }

    #[test]
    fn the_first_program_decides_where_nothing_is_well_known() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let usr = directory(&mut builder, TreeBuilder::ROOT, "usr");
        let lib = directory(&mut builder, usr, "lib");
        file(&mut builder, lib, "b.so", &elf(2, 1, [62, 0]));
        let deep = directory(&mut builder, lib, "a");
        file(&mut builder, deep, "z.so", &elf(2, 1, ARM64));
        let tree = builder.finish().unwrap();
        assert_eq!(detect(&tree).unwrap(), Architecture::Arm64);
    }

    #[test]
    fn a_tree_without_programs_is_asked_about() {
        let tree = TreeBuilder::new(Metadata::default()).unwrap().finish().unwrap();
        let error = detect(&tree).unwrap_err();
        assert!(error.to_string().starts_with("architecture: "), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
