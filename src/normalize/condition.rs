//! Conditions that a tree must meet for a rule to apply.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Action, Rewrite, Rule, Rules, rewrite};
use crate::error::Result;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

const MACHINE_ID: &[u8] = b"etc/machine-id";

/// Directories of units, in order of precedence.
const UNITS: [&str; 2] = ["etc/systemd/system/", "usr/lib/systemd/system/"];

/// Number of bytes of a file that are read.
const HEAD: usize = 1 << 20;

/// Text that is removed before settings are parsed: comments, and ends of lines that continue on
/// the next line.
static JOINED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m-u)^[ \t]*[#;].*(?:\n|\z)|\\\r?\n").expect("a test uses it"));

/// A unit's condition on the first boot with its value, or else an empty assignment that resets all
/// conditions. See systemd.unit(5).
static CONDITION: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"(?m-u)^[ \t]*Condition(?:FirstBoot[ \t]*=[ \t]*(\S.*?)|[A-Za-z]+[ \t]*=)[ \t\r]*$";
    Regex::new(pattern).expect("a test uses it")
});

/// Value of such a condition: whether it is negated, and whether it is true.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^(?i-u)\|?[ \t]*(!?)[ \t]*(?:(1|y|yes|t|true|on)|0|n|no|f|false|off)$";
    Regex::new(pattern).expect("a test uses it")
});

/// Returns whether a condition requires a first boot.
fn asks(value: &[u8]) -> bool {
    // A value that can't be parsed counts as requiring one, so that nothing is removed.
    VALUE.captures(value).is_none_or(|found| found[1].is_empty() == found.get(2).is_some())
}

/// A tree, and the rules that will be applied to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) tree: &'a Tree,
    pub(super) rules: &'a Rules,
    pub(super) epoch: Timestamp,
}

impl Condition<'_> {
    /// Returns whether the tree has one of the paths that the rule requires, or the rule requires
    /// none.
    ///
    /// A unit that is masked or will not be started counts as missing.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) if a
    /// file can't be read.
    pub(super) fn holds(self, rule: &Rule) -> Result<bool> {
        for path in &rule.when {
            if self.has(path, rule.when_match.as_ref())? {
                return Ok(true);
            }
        }
        Ok(rule.when.is_empty())
    }

    fn has(self, path: &str, pattern: Option<&Regex>) -> Result<bool> {
        // A directory there, such as one of drop-ins, is not a unit.
        let unit = UNITS.iter().find_map(|place| path.strip_prefix(place)).filter(|unit| {
            let id = self.tree.find(path.as_bytes());
            !unit.is_empty() && id.is_none_or(|id| self.tree.inode(id).kind != Kind::Directory)
        });
        let (id, started) = match unit.map(|unit| unit.rsplit_once('/').unwrap_or(("", unit))) {
            Some(("", name)) => (self.unit(name), Some(name)),
            // Another unit wants this one, by a symlink of which only the name matters.
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

    /// Returns the file of a unit, unless it is masked by an empty file or by a link to
    /// `/dev/null`, which does not exist in a tree.
    fn unit(self, name: &str) -> Option<InodeId> {
        let place = |name: &str| {
            let mut paths = UNITS.iter().map(|place| format!("{place}{name}").into_bytes());
            paths.find(|path| self.tree.find(path).is_some())
        };
        // The unit may be an instance of a template.
        let template = || {
            let ((start, _), (_, end)) = (name.split_once('@')?, name.rsplit_once('.')?);
            place(&format!("{start}@.{end}"))
        };
        self.tree.resolve(&place(name).or_else(template)?).filter(|id| self.is_file(*id))
    }

    /// Returns whether a unit exists and will start on the next boot, judging by the unit alone.
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
            // The part that is not read may contain a condition.
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

    /// Returns whether systemd will treat the next boot as the first, given the machine id that the
    /// rules leave; see machine-id(5).
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
                        // A machine id is never that long.
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
