//! Whether a tree has what a rule needs to apply.

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

/// A line of a unit that lets it start on a first boot alone; or, without the group, one that takes all
/// conditions back. See systemd.unit(5).
static FIRST_BOOT: LazyLock<Regex> = LazyLock::new(|| {
    let setting = r"FirstBoot[ \t]*=[ \t]*(\|?[ \t]*(?i:1|y|yes|t|true|on))|[A-Za-z]+[ \t]*=";
    let pattern = format!(r"(?m-u)^[ \t]*Condition(?:{setting})[ \t\r]*$");
    Regex::new(&pattern).expect("a test uses it")
});

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
        if let Some(unit) = UNITS.iter().find_map(|place| path.strip_prefix(place)) {
            return match unit.rsplit_once('/') {
                // It is wanted by another unit.
                Some((_, unit)) => {
                    Ok(self.tree.find(path.as_bytes()).is_some() && self.starts(unit)?)
                }
                None => self.starts(unit),
            };
        }
        let Some(id) = self.tree.resolve(path.as_bytes()) else { return Ok(false) };
        match pattern {
            Some(pattern) => {
                Ok(self.is_file(id) && pattern.is_match(&self.tree.read_head(id, HEAD)?))
            }
            None => Ok(true),
        }
    }

    fn is_file(self, id: InodeId) -> bool {
        matches!(self.tree.inode(id).kind, Kind::File { size: 1.., .. })
    }

    /// Whether a unit is there and will start on the next boot, as far as it depends on itself.
    fn starts(self, name: &str) -> Result<bool> {
        let in_place = |place: &&str| format!("{place}{name}");
        let mut units = UNITS.iter().map(in_place);
        let Some(unit) = units.find(|path| self.tree.find(path.as_bytes()).is_some()) else {
            return Ok(false);
        };
        // An empty one is masked, and so is a link to /dev/null, which is nothing in a tree.
        let Some(id) = self.tree.resolve(unit.as_bytes()).filter(|id| self.is_file(*id)) else {
            return Ok(false);
        };
        let mut text = self.tree.read_head(id, HEAD)?;
        for place in UNITS.iter().rev().map(in_place) {
            let directory = self.tree.find(format!("{place}.d").as_bytes());
            for entry in directory.map(|id| self.tree.entries(id)).unwrap_or_default() {
                if self.tree.name(entry).ends_with(b".conf") && self.is_file(entry.inode()) {
                    text.push(b'\n');
                    text.extend(self.tree.read_head(entry.inode(), HEAD)?);
                }
            }
        }
        let last = FIRST_BOOT.captures_iter(&text).last();
        let is_late = last.is_some_and(|captures| captures.get(1).is_some());
        Ok(!is_late || self.boots_first()?)
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
                    let changed = rewrite::substitute(&content, pattern, with, self.epoch);
                    content = changed.unwrap_or(content);
                }
                Action::Remove { content: sign }
                    if sign.as_ref().is_none_or(|sign| sign.is_match(&content)) =>
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
