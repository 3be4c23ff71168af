//! Headers of EFI programs, which are in the Portable Executable format.

use std::ops::Range;

use crate::error::Result;
use crate::tree::{InodeId, Kind, Tree};

/// Number of sections that are read. Firmware refuses programs with more than 96.
const SECTIONS_MAX: usize = 96;

/// Number of bytes of a section that are read as text.
const TEXT_MAX: u64 = 1 << 16;

/// Headers of an EFI program.
#[derive(Debug)]
pub(crate) struct Pe {
    /// `Machine` of the file header.
    pub(crate) machine: u16,
    /// Names of the sections with their bytes in the file.
    sections: Vec<([u8; 8], Range<u64>)>,
}

impl Pe {
    /// Reads the headers of a program; `None` if the node is not one.
    pub(crate) fn read(tree: &Tree, file: InodeId) -> Result<Option<Self>> {
        const E_LFANEW: usize = 0x3c;
        const FILE_HEADER: usize = 24;
        const SECTION_HEADER: usize = 40;
        let Some(head) = read(tree, file, 0..64)? else { return Ok(None) };
        if !head.starts_with(b"MZ") {
            return Ok(None);
        }
        let at = u64::from(u32_at(&head, E_LFANEW));
        let Some(header) = read(tree, file, at..at + FILE_HEADER as u64)? else { return Ok(None) };
        if !header.starts_with(b"PE\0\0") {
            return Ok(None);
        }
        let count = usize::from(u16_at(&header, 6)).min(SECTIONS_MAX);
        let start = at + FILE_HEADER as u64 + u64::from(u16_at(&header, 20));
        let table = start..start + (count * SECTION_HEADER) as u64;
        let Some(table) = read(tree, file, table)? else { return Ok(None) };
        let section = |record: &[u8]| {
            let mut name = [0; 8];
            name.copy_from_slice(&record[..8]);
            let (virtual_size, raw_size) = (u32_at(record, 8), u32_at(record, 16));
            let start = u64::from(u32_at(record, 20));
            (name, start..start + u64::from(virtual_size.min(raw_size)))
        };
        let sections = table.chunks_exact(SECTION_HEADER).map(section).collect();
        Ok(Some(Self { machine: u16_at(&header, 4), sections }))
    }

    /// Returns whether the program is a unified kernel image.
    pub(crate) fn is_uki(&self) -> bool {
        self.section(".linux").is_some()
    }

    /// Returns the text of a section, if the program has the section.
    pub(crate) fn text(&self, tree: &Tree, file: InodeId, name: &str) -> Result<Option<String>> {
        let Some(Range { start, end }) = self.section(name) else { return Ok(None) };
        let bytes = read(tree, file, start..end.min(start + TEXT_MAX))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()))
    }

    fn section(&self, name: &str) -> Option<Range<u64>> {
        let is_named = |found: &[u8; 8]| {
            let rest = found.strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
        };
        self.sections.iter().find(|(found, _)| is_named(found)).map(|(_, range)| range.clone())
    }
}

/// Reads bytes of a file; `None` if it is not a regular file, or ends before.
fn read(tree: &Tree, file: InodeId, range: Range<u64>) -> Result<Option<Vec<u8>>> {
    match tree.inode(file).kind {
        Kind::File { size, .. } if range.end <= size => {
            let length = usize::try_from(range.end - range.start).expect("headers are short");
            let mut bytes = vec![0; length];
            let reader = tree.open(file)?;
            reader.read(range.start, &mut bytes)?;
            reader.verify()?;
            Ok(Some(bytes))
        }
        _ => Ok(None),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::super::samples::{X64, program};
    use super::*;
    use crate::tree::{Metadata, TreeBuilder};

    fn pe(bytes: &[u8]) -> (Tree, InodeId, Option<Pe>) {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        builder.file("x", bytes, Metadata::default()).unwrap();
        let tree = builder.finish().unwrap();
        let file = tree.find(b"x").unwrap();
        let pe = Pe::read(&tree, file).unwrap();
        (tree, file, pe)
    }

    #[test]
    fn sections_are_found() {
        let bytes = program(X64, &[(".cmdline", "root=x\n\0"), (".linux", "kernel")]);
        let (tree, file, found) = pe(&bytes);
        let found = found.unwrap();
        assert_eq!((found.machine, found.is_uki()), (X64, true));
        assert_eq!(found.text(&tree, file, ".cmdline").unwrap().as_deref(), Some("root=x"));
        assert_eq!(found.text(&tree, file, ".linux").unwrap().as_deref(), Some("kernel"));
        assert_eq!(found.text(&tree, file, ".uname").unwrap(), None);
        assert!(!pe(&program(X64, &[(".linuxrc", "")])).2.unwrap().is_uki());
    }

    #[test]
    fn other_and_short_files_are_no_programs() {
        let whole = program(X64, &[(".linux", "kernel")]);
        for length in 0..64 + 24 + 40 {
            assert!(pe(&whole[..length]).2.is_none(), "{length}");
        }
        let mut far = whole.clone();
        far[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(pe(&far).2.is_none());
        let mut elf = whole;
        elf[..4].copy_from_slice(b"\x7fELF");
        assert!(pe(&elf).2.is_none());
    }
}
