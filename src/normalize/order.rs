//! Sorts the content of files in which the order has no meaning.

use std::collections::BTreeMap;

use super::Order;
use crate::error::Result;
use crate::tree::{Kind, Tree};

/// Numeric ids by name.
pub(super) type Ids = BTreeMap<Vec<u8>, u64>;

/// Bytes of memory that sorting takes for each line in addition to the content: references to the
/// line in groups.
const LINE: u64 = 256;

/// Returns the largest number of bytes that sorting takes.
pub(super) fn memory(content: &[u8]) -> u64 {
    let length = content.len() as u64;
    2 * length + LINE * lines(content).count() as u64
}

/// Reads the ids that `order` sorts by, if they are in another file.
///
/// The result is empty if that file does not exist, and `None` if the ids take more than the `left`
/// bytes of memory.
pub(super) fn ids(tree: &Tree, order: &Order, left: u64) -> Result<Option<Ids>> {
    let Order::IdIn(path) = order else { return Ok(Some(Ids::new())) };
    let Some(id) = tree.find(path.as_bytes()) else { return Ok(Some(Ids::new())) };
    match tree.inode(id).kind {
        Kind::File { size, .. } if size > left => return Ok(None),
        Kind::File { .. } => {}
        _ => return Ok(Some(Ids::new())),
    }
    let text = tree.read(id)?;
    if memory(&text) > left {
        return Ok(None);
    }
    let entries = lines(&text).filter_map(|line| Some((field(line, 0)?.to_vec(), number(line)?)));
    Ok(Some(entries.collect()))
}

/// Sorts content in the given order.
///
/// `ids` are the ids that [`ids`] returned for the order.
pub(super) fn sort(content: &[u8], order: &Order, ids: &Ids) -> Vec<u8> {
    match order {
        Order::Line => sorted(content, |line| line.to_vec()),
        // Lines without a number, such as `+::::::` for NIS, stay at the end.
        Order::Id => sorted(content, |line| number(line).unwrap_or(u64::MAX)),
        Order::IdIn(_) => sorted(content, |line| {
            let id = field(line, 0).and_then(|name| ids.get(name));
            id.copied().unwrap_or(u64::MAX)
        }),
        Order::LsR => ls_r(content),
        Order::InfoDir => info_dir(content),
    }
}

/// Returns the lines without their line endings.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.split(|&byte| byte == b'\n')
}

fn field(line: &[u8], at: usize) -> Option<&[u8]> {
    line.split(|&byte| byte == b':').nth(at)
}

fn number(line: &[u8]) -> Option<u64> {
    str::from_utf8(field(line, 2)?).ok()?.parse().ok()
}

fn sorted<K: Ord>(content: &[u8], key: impl Fn(&[u8]) -> K) -> Vec<u8> {
    let mut lines: Vec<_> = lines(content).collect();
    lines.sort_by_key(|line| key(line));
    joined(&lines, content)
}

/// Joins lines, with a final newline if the content had one.
fn joined(lines: &[&[u8]], content: &[u8]) -> Vec<u8> {
    let mut bytes = lines.join(&b'\n');
    if content.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes
}

/// Lines that belong together. The first one stays first.
type Group<'a> = Vec<&'a [u8]>;

/// Sorts the directories of a listing, and the names in each.
///
/// Anything before the first directory (such as the line with a `%` that TeX writes) stays there.
fn ls_r(content: &[u8]) -> Vec<u8> {
    let is_head = |line: &[u8]| line.ends_with(b":");
    let mut groups: Vec<Group<'_>> = vec![Vec::new()];
    for line in lines(content).filter(|line| !line.is_empty()) {
        match groups.last_mut() {
            Some(group) if !is_head(line) => group.push(line),
            _ => groups.push(vec![line]),
        }
    }
    let (start, directories) = groups.split_at_mut(1);
    for directory in &mut *directories {
        directory[1..].sort();
    }
    directories.sort();
    let all = start.iter().filter(|start| !start.is_empty()).chain(&*directories);
    let mut paragraphs = Vec::new();
    for group in all {
        if !paragraphs.is_empty() {
            paragraphs.push(&b""[..]);
        }
        paragraphs.extend(group);
    }
    joined(&paragraphs, content)
}

/// Sorts the sections of an info menu, and the entries in each.
///
/// Anything before the menu stays there.
///
/// A section is a title followed by entries that start with `* `. Continuation lines of an entry
/// start with blanks.
fn info_dir(content: &[u8]) -> Vec<u8> {
    let all: Vec<_> = lines(content).collect();
    let Some(menu) = all.iter().position(|line| line.starts_with(b"* Menu:")) else {
        return content.to_vec();
    };
    let (start, rest) = all.split_at(menu + 1);
    let mut sections: Vec<(&[u8], Vec<Group<'_>>)> = Vec::new();
    for &line in rest.iter().filter(|line| !line.is_empty()) {
        match sections.last_mut() {
            Some((_, entries)) if line.starts_with(b"* ") => entries.push(vec![line]),
            Some((_, entries)) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                match entries.last_mut() {
                    Some(entry) => entry.push(line),
                    None => return content.to_vec(),
                }
            }
            None if line.starts_with(b"* ") => return content.to_vec(),
            _ => sections.push((line, Vec::new())),
        }
    }
    sections.iter_mut().for_each(|(_, entries)| entries.sort());
    sections.sort();
    let mut sorted = start.to_vec();
    for (title, entries) in &sections {
        sorted.extend([b"", *title]);
        sorted.extend(entries.iter().flatten());
    }
    joined(&sorted, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorts(order: &Order, before: &str, after: &str) {
        let ids = Ids::from([(b"root".to_vec(), 0), (b"bin".to_vec(), 1)]);
        for text in [before, after] {
            let sorted = sort(text.as_bytes(), order, &ids);
            assert_eq!(String::from_utf8(sorted).unwrap(), after, "{order:?}");
        }
    }

    #[test]
    fn lines_are_sorted() {
        sorts(&Order::Line, "b\na\n", "a\nb\n");
        sorts(&Order::Line, "b\na", "a\nb");
        sorts(&Order::Line, "", "");
        let passwd = "b:x:10:\nroot:x:0:0\ntoor:x:0:0\n+::::::\na:x:9:\n";
        sorts(&Order::Id, passwd, "root:x:0:0\ntoor:x:0:0\na:x:9:\nb:x:10:\n+::::::\n");
        let shadow = "new:!:1\nbin:!:2\nroot:*:3\n";
        sorts(&Order::IdIn("etc/passwd".into()), shadow, "root:*:3\nbin:!:2\nnew:!:1\n");
    }

    #[test]
    fn groups_are_sorted() {
        let before = "% ls-R\n\n./b:\nz\ny\n\n./a:\nx\n";
        sorts(&Order::LsR, before, "% ls-R\n\n./a:\nx\n\n./b:\ny\nz\n");
        sorts(&Order::LsR, "./b:\n./a:\nx", "./a:\nx\n\n./b:");
        let before = "head\n\n* Menu:\n\nZ\n* b: (b).  B\n           more\n* a: (a).  A\n\nA\n* c: (c).  C\n";
        let after = "head\n\n* Menu:\n\nA\n* c: (c).  C\n\nZ\n* a: (a).  A\n* b: (b).  B\n           more\n";
        sorts(&Order::InfoDir, before, after);
        sorts(&Order::InfoDir, "no menu\nb\na\n", "no menu\nb\na\n");
    }
}
