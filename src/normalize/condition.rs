//! Whether a tree has what a rule needs to apply.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Action, Rewrite, Rule, Rules, rewrite};
use crate::error::Result;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

const MACHINE_ID: &[u8] = b"etc/machine-id";

/// Where units are, the place that hides the other first.
const UNITS: [&str; 2] = ["etc/systemd/system/", "usr/lib/systemd/system/"];

/// How much of a file is looked at.
const HEAD: usize = 1 << 20;

/// What is gone before settings are read: comments, and ends of lines that go on in the next.
static JOINED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m-u)^[ \t]*[#;].*(?:\n|\z)|\\\r?\n").expect("a test uses it"));

/// A condition of a unit about the first boot, with its value; or, without that, one that takes all
/// conditions back. See systemd.unit(5).
static CONDITION: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"(?m-u)^[ \t]*Condition(?:FirstBoot[ \t]*=[ \t]*(\S.*?)|[A-Za-z]+[ \t]*=)[ \t\r]*$";
    Regex::new(pattern).expect("a test uses it")
});

/// Such a value: whether it is turned round, and whether it is true.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^(?i-u)\|?[ \t]*(!?)[ \t]*(?:(1|y|yes|t|true|on)|0|n|no|f|false|off)$";
    Regex::new(pattern).expect("a test uses it")
});

/// Whether a condition asks for a first boot.
fn asks(value: &[u8]) -> bool {
    // What is not understood is taken for one that does: nothing is removed then.
    VALUE.captures(value).is_none_or(|found| found[1].is_empty() == found.get(2).is_some())
}

/// A tree, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) tree: &'a Tree,
    pub(super) rules: &'a Rules,
    pub(super) epoch: Timestamp,
}

impl Condition<'_> {
    /// Whether the tree has one of the paths that the rule asks for, if it does. A unit that is masked
    /// or will not be started is as good as none.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) if a file
    /// can't be read.
    pub(super) fn holds(self, rule: &Rule) -> Result<bool> {
        for path in &rule.when {
            if self.has(path, rule.when_match.as_ref())? {
                return Ok(true);
            }
        }
        Ok(rule.when.is_empty())
    }

    fn has(self, path: &str, pattern: Option<&Regex>) -> Result<bool> {
        // A directory among them, of drop-ins say, is none.
        let unit = UNITS.iter().find_map(|place| path.strip_prefix(place)).filter(|unit| {
            let id = self.tree.find(path.as_bytes());
            !unit.is_empty() && id.is_none_or(|id| self.tree.inode(id).kind != Kind::Directory)
        });
        let (id, started) = match unit.map(|unit| unit.rsplit_once('/').unwrap_or(("", unit))) {
            Some(("", name)) => (self.unit(name), Some(name)),
            // Another unit wants it, by a link of which only the name counts.
            Some((by, name)) if by.ends_with(".wants") || by.ends_with(".requires") => {
                (self.tree.find(path.as_bytes()).and_then(|_| self.unit(name)), Some(name))
            }
            _ => {
                let found = self.tree.resolve(path.as_bytes());
                (found.or_else(|| self.tree.find(path.as_bytes())), None)
            }
        };
        let Some(id) = id else { return Ok(false) };
        let matches = match pattern {
            Some(pattern) => self.is_file(id) && pattern.is_match(&self.tree.read_head(id, HEAD)?),
            None => true,
        };
        Ok(matches && started.map_or(Ok(true), |name| self.starts(name))?)
    }

    fn is_file(self, id: InodeId) -> bool {
        matches!(self.tree.inode(id).kind, Kind::File { size: 1.., .. })
    }

    /// The file of a unit, if it is not masked: by an empty one, or by a link to `/dev/null`, which is
    /// nothing in a tree.
    fn unit(self, name: &str) -> Option<InodeId> {
        let place = |name: &str| {
            let mut paths = UNITS.iter().map(|place| format!("{place}{name}").into_bytes());
            paths.find(|path| self.tree.find(path).is_some())
        };
        // One instance of a template, perhaps.
        let template = || {
            let ((start, _), (_, end)) = (name.split_once('@')?, name.rsplit_once('.')?);
            place(&format!("{start}@.{end}"))
        };
        self.tree.resolve(&place(name).or_else(template)?).filter(|id| self.is_file(*id))
    }

    /// Whether a unit is there and will start on the next boot, as far as it depends on itself.
    fn starts(self, name: &str) -> Result<bool> {
        let Some(id) = self.unit(name) else { return Ok(false) };
        let mut text = self.tree.read_head(id, HEAD)?;
        let mut drop_ins = BTreeMap::new();
        for place in UNITS.iter().rev() {
            let directory = format!("{place}{name}.d/").into_bytes();
            let found = self.tree.resolve(&directory);
            for entry in found.map(|id| self.tree.entries(id)).unwrap_or_default() {
                let own = self.tree.name(entry);
                if own.ends_with(b".conf") {
                    drop_ins.insert(own, self.tree.resolve(&[&directory, own].concat()));
                }
            }
        }
        for id in drop_ins.into_values().flatten().filter(|id| self.is_file(*id)) {
            text.push(b'\n');
            text.extend(self.tree.read_head(id, HEAD)?);
            // What is not looked at may be a condition.
            if text.len() > HEAD {
                return Ok(false);
            }
        }
        let mut only_first = false;
        for condition in CONDITION.captures_iter(&JOINED.replace_all(&text, &b" "[..])) {
            match condition.get(1) {
                Some(value) => only_first |= asks(value.as_bytes()),
                None => only_first = false,
            }
        }
        Ok(!only_first || self.boots_first()?)
    }

    /// Whether systemd takes the next boot for the first, by what rules make of the machine id; see
    /// machine-id(5).
    fn boots_first(self) -> Result<bool> {
        let Some(id) = self.tree.find(MACHINE_ID) else { return Ok(true) };
        let Kind::File { .. } = self.tree.inode(id).kind else { return Ok(false) };
        let mut content = self.tree.read_head(id, HEAD)?;
        let mut matching = Vec::new();
        self.rules.matching(MACHINE_ID, &mut matching);
        let has = |path: &String| self.tree.find(path.as_bytes()).is_some();
        for rule in matching.into_iter().map(|number| self.rules.get(number)) {
            if !rule.when.is_empty() && !rule.when.iter().any(has) {
                continue;
            }
            match &rule.action {
                Action::Rewrite(Rewrite::Substitute { pattern, with }) => {
                    let limit = HEAD as u64;
                    match rewrite::substitute(&content, pattern, with, self.epoch, limit) {
                        Ok(changed) => content = changed.unwrap_or(content),
                        // No machine id is so long.
                        Err(rewrite::TooLong) => return Ok(false),
                    }
                }
                Action::Remove { content: signs }
                    if signs.is_empty() || signs.iter().any(|sign| sign.is_match(&content)) =>
                {
                    return Ok(true);
                }
                Action::Truncate => content.clear(),
                _ => {}
            }
        }
        Ok(content.trim_ascii() == b"uninitialized")
    }
}
