//! Reads squashfs images with the crate backhand.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use backhand::{FilesystemReader, InnerNode, SquashfsFileReader};
use rustix::fs::{major, minor};
use sha2::{Digest, Sha256};

use super::{OracleError, Verdict, oracle_error};

/// Mode without the type, owner, group, time in seconds, and what only nodes of this type have.
type Node = (u32, u32, u32, i64, Kind);

#[derive(Debug, PartialEq)]
enum Kind {
    /// Directory.
    Dir,
    /// Regular file with the SHA-256 of its content.
    File(Vec<u8>),
    Symlink(PathBuf),
    CharacterDevice(u32),
    BlockDevice(u32),
    Fifo,
    Socket,
}

/// Checks that an image has exactly the nodes of the tree at `source`.
///
/// Extended attributes and hard links are not compared, which backhand does not read.
pub fn backhand(image: &Path, source: &Path) -> Verdict {
    let error = |error: &dyn std::fmt::Display| OracleError(format!("backhand: {error}"));
    let reader = BufReader::new(File::open(image).unwrap());
    let image = FilesystemReader::from_reader(reader).map_err(|e| error(&e))?;
    let mut found = BTreeMap::new();
    for node in image.files() {
        let kind = kind(&image, &node.inner).map_err(|e| error(&e))?;
        let header = node.header;
        let mode = u32::from(header.permissions);
        let node_found = (mode, header.uid, header.gid, header.mtime.into(), kind);
        found.insert(node.fullpath.strip_prefix("/").unwrap().to_owned(), node_found);
    }
    for (path, node) in nodes(source) {
        match found.remove(&path) {
            Some(other) if other == node => {}
            other => return oracle_error(format!("backhand: {path:?}: {node:?}, then {other:?}")),
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => oracle_error(format!("backhand: {:?} are extra", found.keys())),
    }
}

fn kind(image: &FilesystemReader<'_>, node: &InnerNode<SquashfsFileReader>) -> io::Result<Kind> {
    Ok(match node {
        InnerNode::Dir(_) => Kind::Dir,
        InnerNode::File(file) => Kind::File(digest(image.file(file).reader())?),
        InnerNode::Symlink(symlink) => Kind::Symlink(symlink.link.clone()),
        InnerNode::CharacterDevice(device) => Kind::CharacterDevice(device.device_number),
        InnerNode::BlockDevice(device) => Kind::BlockDevice(device.device_number),
        InnerNode::NamedPipe => Kind::Fifo,
        InnerNode::Socket => Kind::Socket,
    })
}

fn digest(mut content: impl Read) -> io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hash.finalize().to_vec()),
            len => hash.update(&buffer[..len]),
        }
    }
}

/// Returns the nodes of a tree by path; the root has the empty path.
fn nodes(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let at = root.join(&path);
        let metadata = fs::symlink_metadata(&at).unwrap();
        // The encoding of the kernel: bits 8 to 19 are the major number.
        let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
        let device = major << 8 | minor & 0xff | (minor & !0xff) << 12;
        let of = metadata.file_type();
        let kind = match () {
            () if of.is_dir() => {
                let entries = fs::read_dir(&at).unwrap();
                pending.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
                Kind::Dir
            }
            () if of.is_file() => Kind::File(digest(File::open(&at).unwrap()).unwrap()),
            () if of.is_symlink() => Kind::Symlink(fs::read_link(&at).unwrap()),
            () if of.is_char_device() => Kind::CharacterDevice(device),
            () if of.is_block_device() => Kind::BlockDevice(device),
            () if of.is_fifo() => Kind::Fifo,
            () => Kind::Socket,
        };
        let mtime = metadata.mtime().clamp(0, u32::MAX.into());
        let mode = metadata.mode() & 0o7777;
        nodes.insert(path, (mode, metadata.uid(), metadata.gid(), mtime, kind));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::super::tool::{flip, shell};
    use super::*;

    /// Creates a tree and an image of it by mksquashfs, and runs a script in the tree afterwards.
    fn checked(then: &str, broken: Option<u64>) -> Verdict {
        let scratch = tempfile::tempdir().unwrap();
        let (source, image) = (scratch.path().join("source"), scratch.path().join("image"));
        let script = "mkdir -p $1/dir; seq 100000 >$1/file; ln -s file $1/dir/link
            mknod $1/node c 5 300; mkfifo $1/fifo; find $1 -exec touch -h -d @1600000000 {} +
            mksquashfs $1 $2 -comp lz4 -quiet -no-progress";
        shell(script, &[&source, &image]);
        shell(&format!("cd $1; {then}"), &[&source]);
        if let Some(offset) = broken {
            flip(&image, offset);
        }
        backhand(&image, &source)
    }

    #[test]
    fn an_image_of_mksquashfs_is_accepted() {
        checked("", None).unwrap();
    }

    #[test]
    fn every_difference_is_found() {
        for then in [
            "printf x | dd of=file conv=notrunc status=none; touch -d @1600000000 file",
            "chmod 600 file",
            "chown 1 file",
            "chgrp -h 1 dir/link",
            "touch file",
            "ln -sf other dir/link; touch -h -d @1600000000 dir/link dir",
            "rm node; mknod node c 5 301; touch -d @1600000000 node .",
            "touch -d @1600000000 extra .",
            "rm fifo; touch -d @1600000000 .",
            "rm fifo; touch -d @1600000000 fifo .",
        ] {
            checked(then, None).expect_err(then);
        }
    }

    #[test]
    fn a_broken_image_is_found() {
        // The offset of the table of ids, and content.
        for offset in [48, 1000] {
            checked("", Some(offset)).unwrap_err();
        }
    }
}
