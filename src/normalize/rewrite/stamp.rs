//! `.updated` in `/etc` and `/var`: systemd updates these directories if `/usr` has a different
//! time.

use super::{Outcome, Subject};
use crate::time::Timestamp;

const KEY: &[u8] = b"TIMESTAMP_NSEC=";
const NANOSECONDS: i128 = 1_000_000_000;

/// Updates a stamp that matched `/usr` to the clamped time of `/usr`.
///
/// A stamp that did not match, so that an update is due, is removed, which has the same meaning.
pub(in super::super) fn update_stamp(subject: &Subject<'_>, content: &[u8]) -> Outcome {
    let Subject { tree, id, epoch, .. } = *subject;
    let Some(usr) = tree.find(b"usr") else { return Outcome::Same };
    let (stamp, usr) = (tree.inode(id).mtime, tree.inode(usr).mtime);
    let written = content.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(KEY));
    let written = written.and_then(|text| str::from_utf8(text).ok()?.parse::<i128>().ok());
    if written.unwrap_or(nanoseconds(stamp)).max(nanoseconds(stamp)) < nanoseconds(usr) {
        return Outcome::Remove;
    }
    let time = usr.min(epoch);
    if stamp == time && written.is_none_or(|written| written == nanoseconds(time)) {
        return Outcome::Same;
    }
    let mut stamp = Vec::new();
    for (at, line) in content.split(|&byte| byte == b'\n').enumerate() {
        if at > 0 {
            stamp.push(b'\n');
        }
        match line.starts_with(KEY) {
            true => stamp.extend([KEY, nanoseconds(time).to_string().as_bytes()].concat()),
            false => stamp.extend_from_slice(line),
        }
    }
    Outcome::Stamp(stamp, time)
}

fn nanoseconds(time: Timestamp) -> i128 {
    i128::from(time.seconds) * NANOSECONDS + i128::from(time.nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn outcome(usr: i64, stamp: i64, text: &str) -> Outcome {
        let at = |seconds| {
            let mtime = Timestamp::from_seconds(seconds);
            Metadata { mtime, ..Metadata::default() }
        };
        let mut builder = TreeBuilder::new(at(0)).unwrap();
        let content = builder.content(Arc::new(text.as_bytes().to_vec())).unwrap();
        let node = Node::File { size: text.len() as u64, content };
        builder.add(TreeBuilder::ROOT, b"usr", at(usr), Node::Directory).unwrap();
        builder.add(TreeBuilder::ROOT, b"stamp", at(stamp), node).unwrap();
        let tree = builder.finish().unwrap();
        let id = tree.find(b"stamp").unwrap();
        let epoch = Timestamp::from_seconds(100);
        update_stamp(&Subject { tree: &tree, id, path: b"stamp", epoch }, text.as_bytes())
    }

    #[test]
    fn stamps_go_with_usr() {
        let expected = |seconds: i64| {
            let text = format!("# x\nTIMESTAMP_NSEC={seconds}000000000\n");
            Outcome::Stamp(text.into_bytes(), Timestamp::from_seconds(seconds))
        };
        assert_eq!(outcome(200, 300, "# x\nTIMESTAMP_NSEC=200000000000\n"), expected(100));
        assert_eq!(outcome(50, 300, "# x\nTIMESTAMP_NSEC=50000000000\n"), expected(50));
        assert_eq!(outcome(50, 50, "TIMESTAMP_NSEC=50000000000\n"), Outcome::Same);
        assert_eq!(outcome(200, 199, "TIMESTAMP_NSEC=199000000000\n"), Outcome::Remove);
        let empty = Outcome::Stamp(Vec::new(), Timestamp::from_seconds(100));
        assert_eq!(outcome(200, 200, ""), empty);
        assert_eq!(outcome(200, 199, ""), Outcome::Remove);
    }
}
