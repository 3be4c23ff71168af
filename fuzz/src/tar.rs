//! Hostile tar archives.

use std::fs::File;
use std::io::{Write, pipe};
use std::os::fd::OwnedFd;

use arbitrary::Arbitrary;
use detfs::Tar;
use detfs::tree::dir::DirOptions;
use detfs::tree::{HoleScanOptions, InodeId, Kind, Source, Tree, scan_holes};

use crate::refused;

/// Headers with right checksums, most of them, and data.
#[derive(Debug, Arbitrary)]
pub struct BytesToTar {
    parts: Vec<Part>,
    compression: u8,
    ends: bool,
}

#[derive(Debug, Arbitrary)]
enum Part {
    Header { header: Header, data: Vec<u8> },
    Pax { is_global: bool, records: Vec<(u8, Value)> },
    LongName { is_link: bool, name: u8, repeat: u8 },
    SparseBlock { ranges: Vec<(u16, u16)>, is_extended: bool },
    Raw(Vec<u8>),
    Zeros(u8),
}

#[derive(Debug, Arbitrary)]
struct Header {
    name: u8,
    typeflag: u8,
    link: u8,
    dialect: u8,
    size: Option<u16>,
    changes: Vec<(u16, u8)>,
    ranges: Vec<(u8, u8)>,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Known(u8),
    Number(u16),
    Bytes(Vec<u8>),
}

const NAMES: [&str; 12] =
    ["a", "b", "a/b", "a/b/c", ".", "./a", "/b", "a//b/", "../a", "c", "c/d", "\u{f6}"];

const TYPES: &[u8; 16] = b"0\0\x31234567SVDXgx5";

const KEYS: [&str; 24] = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "atime",
    "hdrcharset",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.numblocks",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
    "GNU.sparse.map",
    "SCHILY.xattr.user.a",
    "LIBARCHIVE.xattr.user.a%3D",
    "SCHILY.acl.access",
    "SCHILY.acl.default",
    "SCHILY.fflags",
    "SCHILY.devmajor",
    "RHT.security.selinux",
];

const VALUES: [&str; 12] = [
    "1",
    "0",
    "a/b",
    "-1.5",
    "BINARY",
    "0,1,600,5",
    "user::rw-,group::r--,other::r--",
    "user::rw-,user:a:rwx:5,group::r--,mask::rw-,other::r--",
    "nodump,schg",
    "YQ",
    "18446744073709551615",
    "",
];

/// Limit of an archive: what a pipe takes at once.
const SIZE_MAX: usize = 60_000;

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn field(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

fn of<T: Copy>(list: &[T], index: u8) -> T {
    list[usize::from(index) % list.len()]
}

impl Header {
    fn block(&self, data: usize) -> Vec<u8> {
        let mut block = vec![0; 512];
        field(&mut block, 0, of(&NAMES, self.name).as_bytes());
        for at in [100, 108, 116, 329, 337] {
            field(&mut block, at, b"0000001");
        }
        let size = self.size.map_or(data, usize::from);
        field(&mut block, 124, format!("{size:011o}").as_bytes());
        field(&mut block, 136, b"00000000001");
        block[156] = of(TYPES, self.typeflag);
        field(&mut block, 157, of(&NAMES, self.link).as_bytes());
        match self.dialect % 4 {
            0 => {}
            1 => field(&mut block, 257, b"ustar  \0"),
            _ => field(&mut block, 257, b"ustar\x0000"),
        }
        for (at, (offset, length)) in self.ranges.iter().take(4).enumerate() {
            field(&mut block, 386 + 24 * at, format!("{offset:011o}\0{length:011o}").as_bytes());
        }
        if !self.ranges.is_empty() {
            field(&mut block, 483, b"00000001000");
        }
        for (at, byte) in &self.changes {
            block[usize::from(at % 512)] = *byte;
        }
        sign(block)
    }
}

/// Sets the checksum of a header.
fn sign(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    field(&mut block, 148, format!("{sum:06o}\0").as_bytes());
    block
}

fn extension(typeflag: u8, body: Vec<u8>) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[156] = typeflag;
    field(&mut block, 124, format!("{:011o}", body.len()).as_bytes());
    field(&mut block, 257, b"ustar\x0000");
    [sign(block), padded(body)].concat()
}

fn record(key: &str, value: &Value) -> Vec<u8> {
    let value = match value {
        Value::Known(known) => of(&VALUES, *known).as_bytes().to_vec(),
        Value::Number(number) => number.to_string().into_bytes(),
        Value::Bytes(bytes) => bytes.clone(),
    };
    let text = [b" ", key.as_bytes(), b"=", &value, b"\n"].concat();
    let mut length = text.len();
    while length.to_string().len() + text.len() != length {
        length = length.to_string().len() + text.len();
    }
    [length.to_string().as_bytes(), &text].concat()
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Header { header, data } => {
                [header.block(data.len()), padded(data.clone())].concat()
            }
            Self::Pax { is_global, records } => {
                let records = records.iter().map(|(key, value)| record(of(&KEYS, *key), value));
                extension(if *is_global { b'g' } else { b'x' }, records.flatten().collect())
            }
            Self::LongName { is_link, name, repeat } => {
                let names = vec![of(&NAMES, *name); usize::from(*repeat) + 1];
                let body = names.join("/") + "\0";
                extension(if *is_link { b'K' } else { b'L' }, body.into_bytes())
            }
            Self::SparseBlock { ranges, is_extended } => {
                let mut block = vec![0; 512];
                for (at, (offset, length)) in ranges.iter().take(21).enumerate() {
                    let entry = format!("{offset:011o}\0{length:011o}");
                    field(&mut block, 24 * at, entry.as_bytes());
                }
                block[504] = (*is_extended).into();
                block
            }
            Self::Raw(bytes) => bytes.clone(),
            Self::Zeros(count) => vec![0; usize::from(*count % 8) * 512],
        }
    }
}

impl BytesToTar {
    /// Reads the archive twice, which is refused or gives the same tree, and reads the content.
    /// Returns whether there was a tree.
    ///
    /// # Panics
    ///
    /// Panics if the trees differ, or if content of a tree can't be read.
    pub fn check(&self) -> bool {
        let mut archive: Vec<u8> = match self.compression % 16 {
            0 => vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3],
            1 => vec![0x28, 0xB5, 0x2F, 0xFD],
            2 => b"\xFD7zXZ\0\0\x01".to_vec(),
            _ => Vec::new(),
        };
        archive.extend(self.parts.iter().flat_map(Part::bytes));
        archive.truncate(SIZE_MAX);
        if self.ends {
            archive.resize(archive.len() + 1024, 0);
        }
        let (first, second) = (read(&archive), read(&archive));
        match (first, second) {
            (Ok(first), Ok(second)) => {
                assert_eq!(list(&first), list(&second));
                true
            }
            (Err(first), Err(second)) => {
                assert_eq!(first.to_string(), second.to_string());
                refused(&first)
            }
            _ => panic!("an archive is read and refused"),
        }
    }
}

fn read(archive: &[u8]) -> detfs::Result<Tree> {
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(archive).expect("a pipe takes the archive at once");
    drop(writer);
    let tar = Tar::from_file(File::from(OwnedFd::from(reader)), "a.tar")?.with_spool("/dev/shm");
    let (tree, _) = tar.read(&DirOptions::default())?;
    let sizes = tree.inodes().iter().map(|inode| match inode.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    });
    if sizes.fold(0, u64::saturating_add) < 1 << 24 {
        scan_holes(&tree, &HoleScanOptions::default()).expect("content is there");
    }
    Ok(tree)
}

/// Returns the names of a tree with their inodes.
fn list(tree: &Tree) -> Vec<(InodeId, Vec<u8>, String)> {
    let inodes = tree.iter().map(|(id, inode)| (id, tree.path(id), format!("{inode:?}")));
    inodes.collect()
}
