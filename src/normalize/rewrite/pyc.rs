//! Header of a compiled Python module (PEP 552, `Lib/importlib/_bootstrap_external.py`): the time
//! and size of the source, by which Python decides whether the module is stale.

use super::Subject;
use crate::error::Result;
use crate::tree::{InodeId, Kind, Tree};

/// Size of the header in bytes: magic number, flags, time of the source, size of the source.
const HEADER: usize = 16;

/// Magic numbers with this header. The first is that of Python 3.7. Numbers have only grown since
/// then; those of Python 2 are above 20,000.
const MAGICS: std::ops::Range<u16> = 3390..20_000;

/// Flag: the module is checked by a hash of its source, or not at all.
const HASHED: u32 = 1;

/// Returns the header with the clamped time of the source, if that differs.
///
/// A stale module stays stale: its time is not that of its source.
pub(in super::super) fn pyc(subject: &Subject<'_>) -> Result<Option<Vec<u8>>> {
    let Subject { tree, id, path, epoch } = *subject;
    let latest = low(epoch.seconds);
    let source = source(path).and_then(|path| file(tree, &path));
    // Most sources have times before the epoch, and then nothing has to be read.
    let source = match source {
        Some(source) if tree.inode(source).mtime.seconds <= epoch.seconds => return Ok(None),
        Some(source) => Some(low(tree.inode(source).mtime.seconds)),
        None => None,
    };
    let mut header = tree.read_head(id, HEADER)?;
    let word = |header: &[u8], at: usize| -> Option<u32> {
        let bytes = header.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (Some(magic), Some(flags), Some(time), Some(_)) =
        (word(&header, 0), word(&header, 4), word(&header, 8), word(&header, 12))
    else {
        return Ok(None);
    };
    let number = u16::from_le_bytes([header[0], header[1]]);
    let is_known = magic >> 16 == 0x0a0d && MAGICS.contains(&number);
    if !is_known || flags & HASHED != 0 {
        return Ok(None);
    }
    let is_due = match source {
        Some(source) => time == source,
        // The time of a module without a source is not checked.
        None => time > latest,
    };
    if !is_due {
        return Ok(None);
    }
    header[8..12].copy_from_slice(&latest.to_le_bytes());
    Ok(Some(header))
}

/// Returns the lowest 32 bits, as Python does.
fn low(seconds: i64) -> u32 {
    let bytes = seconds.to_le_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn file(tree: &Tree, path: &[u8]) -> Option<InodeId> {
    let id = tree.find(path)?;
    matches!(tree.inode(id).kind, Kind::File { .. }).then_some(id)
}

/// Returns the path of a module's source: `a/b.py` for `a/__pycache__/b.cpython-311.pyc`, also with
/// `.opt-1` or `.opt-2` before the extension, and for `a/b.pyc`.
fn source(path: &[u8]) -> Option<Vec<u8>> {
    let (directory, name) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => path.split_at(slash + 1),
        None => (&b""[..], path),
    };
    let name = name.strip_suffix(b".pyc")?;
    let (directory, name) = match directory.strip_suffix(b"__pycache__/") {
        None => (directory, name),
        Some(directory) => {
            let name = [&b".opt-1"[..], b".opt-2"]
                .into_iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            let tag = name.iter().rposition(|&byte| byte == b'.')?;
            (directory, &name[..tag])
        }
    };
    Some([directory, name, b".py"].concat())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::time::Timestamp;
    use crate::tree::{Metadata, Node, TreeBuilder};

    const EPOCH: i64 = 1000;

    #[test]
    fn sources_are_found() {
        for (path, expected) in [
            ("a/__pycache__/b.cpython-311.pyc", Some("a/b.py")),
            ("a/__pycache__/b.c.cpython-311.opt-2.pyc", Some("a/b.c.py")),
            ("__pycache__/b.cpython-311.pyc", Some("b.py")),
            ("a/__pycache__/b.pyc", None),
            ("a/b.pyc", Some("a/b.py")),
            ("b.pyc", Some("b.py")),
        ] {
            let expected = expected.map(|path| path.as_bytes().to_vec());
            assert_eq!(source(path.as_bytes()), expected, "{path}");
        }
    }

    fn header(magic: u16, flags: u32, time: u32) -> Vec<u8> {
        let [a, b] = magic.to_le_bytes();
        let words = [u32::from_le_bytes([a, b, 0x0d, 0x0a]), flags, time, 7];
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn rewritten(module: &[u8], source: Option<i64>) -> Option<Vec<u8>> {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let content = builder.content(Arc::new(module.to_vec())).unwrap();
        let node = Node::File { size: module.len() as u64, content };
        builder.add(TreeBuilder::ROOT, b"a.pyc", Metadata::default(), node.clone()).unwrap();
        if let Some(seconds) = source {
            let mtime = Timestamp { seconds, nanoseconds: 5 };
            let metadata = Metadata { mtime, ..Metadata::default() };
            builder.add(TreeBuilder::ROOT, b"a.py", metadata, node).unwrap();
        }
        let tree = builder.finish().unwrap();
        let epoch = Timestamp::from_seconds(EPOCH);
        let id = tree.find(b"a.pyc").unwrap();
        pyc(&Subject { tree: &tree, id, path: b"a.pyc", epoch }).unwrap()
    }

    #[test]
    fn times_follow_the_source() {
        for (module, source, expected) in [
            (header(3495, 0, 2000), Some(2000), Some(header(3495, 0, 1000))),
            (header(3495, 0, 2000), None, Some(header(3495, 0, 1000))),
            // Stale, up to date, hashed, unknown, truncated.
            (header(3495, 0, 1999), Some(2000), None),
            (header(3495, 0, 900), Some(900), None),
            (header(3495, 0, 900), None, None),
            (header(3495, 1, 2000), Some(2000), None),
            (header(3389, 0, 2000), Some(2000), None),
            (header(62211, 0, 2000), Some(2000), None),
            (header(3495, 0, 2000)[..12].to_vec(), Some(2000), None),
        ] {
            assert_eq!(rewritten(&module, source), expected, "{module:?} {source:?}");
        }
        let beyond = (1 << 32) + 5000;
        assert_eq!(rewritten(&header(3495, 0, 5000), Some(beyond)), Some(header(3495, 0, 1000)));
    }
}
