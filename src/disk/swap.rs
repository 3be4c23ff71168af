//! Swap space in a file or a partition: the first page, as `mkswap` writes it.

use std::sync::Arc;

use uuid::Uuid;
use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, Immutable, IntoBytes, KnownLayout};

use super::subtree::is_at_or_below;
use crate::error::{Error, Result};
use crate::format::{Format, FsInputs, Holds, truncate};
use crate::layout::Layout;
use crate::name;
use crate::seed;
use crate::size::{KIB, exact};
use crate::time::Timestamp;
use crate::tree::{FileFlags, HoleScan, InodeId, Kind, Metadata, Tree};

/// Page size of nearly every machine, in bytes. A machine with larger pages does not recognize the
/// swap space.
const PAGE: u64 = 4 * KIB;

/// Smallest number of pages that `mkswap` accepts.
const PAGES_MIN: u64 = 10;

/// The kernel's `union swap_header`, version 1.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    bootbits: [u8; 1024],
    version: U32,
    last_page: U32,
    nr_badpages: U32,
    sws_uuid: [u8; 16],
    sws_volume: [u8; 16],
    padding: [U32; 117],
    badpages: [u8; 2550],
    magic: [u8; 10],
}

const _: () = assert!(size_of::<Header>() as u64 == PAGE);

impl Header {
    fn new(uuid: Uuid, label: &str, last_page: u32) -> Self {
        let mut sws_volume = [0; 16];
        sws_volume[..label.len()].copy_from_slice(label.as_bytes());
        Self {
            sws_volume,
            version: 1.into(),
            last_page: last_page.into(),
            sws_uuid: uuid.into_bytes(),
            magic: *b"SWAPSPACE2",
            ..Self::new_zeroed()
        }
    }
}

/// Returns the index of the last page of a swap space of `size` bytes, which is the number of pages
/// after the first.
fn last_page(size: u64) -> Option<u32> {
    let pages = size / PAGE;
    u32::try_from(pages.wrapping_sub(1)).ok().filter(|_| pages >= PAGES_MIN)
}

/// Plans a swap space that fills a partition, with a label of at most 15 bytes.
///
/// # Errors
/// [`Error::TooSmall`] for less than 40 KiB, and [`Error::Parameter`] for more than 16 TiB.
pub(crate) fn partition(size: u64, uuid: Uuid, label: &str) -> Result<Layout> {
    let last_page = match last_page(size) {
        Some(last_page) => last_page,
        None if size < PAGE * PAGES_MIN => {
            return Err(Error::TooSmall {
                what: "swap".into(),
                detail: String::new(),
                needed: PAGE * PAGES_MIN,
                available: size,
            });
        }
        None => {
            let rule = format!("swap space can't be {size} bytes");
            return Err(Error::parameter("size", rule, "use at most 16T"));
        }
    };
    let header = Header::new(uuid, label, last_page);
    let mut layout = Layout::new(size);
    layout.push_bytes(0, header.as_bytes().to_vec());
    Ok(layout)
}

/// Requested swap file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapfile {
    /// Path of the file, with or without a leading slash. The directory must exist and the file
    /// must not.
    pub path: Vec<u8>,
    /// Size in bytes: a multiple of 4096, at least 40 KiB and at most 16 TiB.
    pub size: u64,
}

/// Adds the swap file, if one is requested, to the inputs of a file system.
///
/// # Errors
/// [`Error::Parameter`] if the size or the path is not valid for a swap file.
pub(super) fn add<'a>(
    swapfile: Option<&Swapfile>,
    format: &dyn Format,
    inputs: FsInputs<'a>,
) -> Result<FsInputs<'a>> {
    let Some(swapfile) = swapfile else { return Ok(inputs) };
    if !format.holds().contains(Holds::SWAPFILES) {
        return refuse(format!("{} can't store a swap file", format.name()), "use another format");
    }
    let FsInputs { tree, scan, uuid, epoch, .. } = inputs;
    let (tree, scan, file) = swapfile.add(&tree, scan, uuid, epoch)?;
    Ok(FsInputs { tree: Arc::new(tree), scan, swapfile: Some(file), ..inputs })
}

/// Returns the label of swap space in a partition with the name `partition`.
pub(super) fn label_for(partition: &str) -> &str {
    truncate(partition, 15)
}

fn refuse<T>(rule: String, remedy: &str) -> Result<T> {
    Err(Error::parameter("swapfile", rule, remedy))
}

impl Swapfile {
    /// Rejects a swap file that a mounted partition would hide.
    pub(super) fn check_reachable(&self, mount_points: &[Vec<u8>]) -> Result<()> {
        let path = normal(&self.path);
        match mount_points.iter().find(|place| is_at_or_below(&path, place)) {
            Some(place) => refuse(
                format!("another partition is mounted on {}", name::Escaped(place)),
                "give a path in the root file system",
            ),
            None => Ok(()),
        }
    }

    fn add(
        &self,
        tree: &Tree,
        scan: HoleScan,
        file_system: Uuid,
        epoch: Timestamp,
    ) -> Result<(Tree, HoleScan, InodeId)> {
        let last_page = self.last_page()?;
        let (directory, name) = self.place(tree)?;
        let path = normal(&self.path);
        let header = Header::new(seed::swap(file_system, &path), "", last_page);
        let metadata =
            Metadata { mode: 0o600, mtime: epoch, flags: FileFlags::NOCOW, ..Metadata::default() };
        let head: Arc<[u8]> = header.as_bytes().into();
        let (tree, file) = tree.with_file(directory, name, metadata, head, self.size)?;
        let scan = scan.with_swap_file(&tree, file)?;
        Ok((tree, scan, file))
    }

    fn last_page(&self) -> Result<u32> {
        let Self { size, .. } = self;
        match last_page(*size) {
            Some(last_page) if size.is_multiple_of(PAGE) => Ok(last_page),
            _ => refuse(
                format!("a swap file can't have {}", exact(*size)),
                "give a multiple of 4096, from 40960 up to 16T",
            ),
        }
    }

    /// Returns the directory that the file goes into, and its name there.
    fn place(&self, tree: &Tree) -> Result<(InodeId, &[u8])> {
        let shown = name::Escaped(&self.path);
        let (parent, name) = match self.path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.path[..slash], &self.path[slash + 1..]),
            None => (&b""[..], &*self.path),
        };
        if let Some(fault) = name::fault(name) {
            return refuse(format!("{shown}: {fault}"), "give the path of a file");
        }
        match tree.find(parent) {
            Some(directory) if tree.inode(directory).kind == Kind::Directory => {
                match tree.child(directory, name) {
                    None => Ok((directory, name)),
                    Some(_) => {
                        refuse(format!("{shown} is in the tree already"), "give another path")
                    }
                }
            }
            _ => refuse(
                format!("the tree has no directory for {shown}"),
                "make the directory in the tree, or give another path",
            ),
        }
    }
}

/// Returns a path without redundant slashes.
fn normal(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    names.collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::Command;
    use std::slice::from_ref;

    use super::*;
    use crate::size::{GIB, MIB};
    use crate::tree::{Node, TreeBuilder};

    const UUID: &str = "0b5f8a9c-3c1d-4e2f-8a6b-7c8d9e0fa1b2";

    fn file(size: u64) -> Swapfile {
        Swapfile { path: b"swap/file".to_vec(), size }
    }

    fn run(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().expect(program);
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_header_is_that_of_mkswap() {
        let scratch = tempfile::tempdir().unwrap();
        for size in [40 * KIB, 44 * KIB, 512 * MIB, 32 * GIB] {
            let path = scratch.path().join("theirs");
            File::create(&path).unwrap().set_len(size).unwrap();
            run("mkswap", &["-q", "-p", "4096", "-U", UUID, path.to_str().unwrap()]);
            let mut theirs = vec![0; 4096];
            std::io::Read::read_exact(&mut File::open(&path).unwrap(), &mut theirs).unwrap();
            let ours = Header::new(UUID.parse().unwrap(), "", file(size).last_page().unwrap());
            assert!(ours.as_bytes() == theirs, "{size}");
        }
    }

    #[test]
    fn sizes_are_checked() {
        for (size, last_page) in [
            (0, None),
            (4096, None),
            (36 * KIB, None),
            (40 * KIB - 1, None),
            (40 * KIB, Some(9)),
            (40 * KIB + 512, None),
            (512 * MIB, Some(131_071)),
            (1 << 44, Some(u32::MAX)),
            ((1 << 44) + 4096, None),
            (u64::MAX, None),
        ] {
            assert_eq!(file(size).last_page().ok(), last_page, "{size}");
        }
    }

    #[test]
    fn it_goes_to_a_directory_of_the_tree() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let root = TreeBuilder::ROOT;
        let swap = builder.add(root, b"swap", Metadata::default(), Node::Directory).unwrap();
        builder.add(swap, b"taken", Metadata::default(), Node::Fifo).unwrap();
        let link = Node::Symlink(b"swap".to_vec());
        builder.add(root, b"link", Metadata::default(), link).unwrap();
        let tree = builder.finish().unwrap();
        let uuid = UUID.parse().unwrap();
        let epoch = Timestamp::from_seconds(9);
        let add = |path: &str| {
            let swapfile = Swapfile { path: path.as_bytes().to_vec(), size: MIB };
            swapfile.add(&tree, HoleScan::default(), uuid, epoch)
        };
        let mut headers = Vec::new();
        for (path, expected) in
            [("/swap/file", "swap/file"), ("swap//file", "swap/file"), ("file", "file")]
        {
            let (tree, scan, _) = add(path).unwrap();
            let id = tree.find(expected.as_bytes()).unwrap();
            assert!(scan.swap_files().iter().eq([&id]));
            let inode = tree.inode(id);
            assert_eq!((inode.mode, inode.flags), (0o600, FileFlags::NOCOW));
            assert_eq!(inode.mtime, epoch);
            assert_eq!(scan.data(id), Some(from_ref(&(0..16 * KIB))));
            let mut header = vec![0; 4096];
            tree.open(id).unwrap().read(0, &mut header).unwrap();
            headers.push(header);
        }
        assert_eq!(headers[0], headers[1]);
        assert_ne!(headers[0], headers[2]);
        for (path, rule) in [
            ("swap/taken", "swap/taken is in the tree already"),
            ("swap", "swap is in the tree already"),
            ("nowhere/file", "the tree has no directory for nowhere/file"),
            ("swap/taken/file", "the tree has no directory for swap/taken/file"),
            ("link/file", "the tree has no directory for link/file"),
            ("swap/", "swap/: the name is empty"),
            ("", "/: the name is empty"),
            ("swap/..", "swap/..: `.` and `..` can't be names"),
        ] {
            let error = add(path).unwrap_err();
            assert!(error.to_string().starts_with(&format!("swapfile: {rule}; ")), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    /// `blkid` and `swaplabel` recognize the swap space, and `swaplabel` rejects a damaged one.
    #[test]
    fn blkid_knows_it() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("swap");
        let mut bytes = Header::new(UUID.parse().unwrap(), "", 9).as_bytes().to_vec();
        bytes.resize(40 << 10, 0);
        fs::write(&path, &bytes).unwrap();
        let path = path.to_str().unwrap();
        let known = run("blkid", &["-p", "-o", "export", path]);
        for line in [&format!("UUID={UUID}"), "VERSION=1", "TYPE=swap"] {
            assert!(known.lines().any(|known| known == line), "{known}");
        }
        assert_eq!(run("swaplabel", &[path]), format!("UUID:  {UUID}\n"));
        bytes[4095] = b'3';
        fs::write(path, bytes).unwrap();
        assert!(!Command::new("swaplabel").arg(path).status().unwrap().success());
    }
}
