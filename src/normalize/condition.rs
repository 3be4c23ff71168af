//! Whether a tree has what a rule needs to apply.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::apply::read;
use super::{Action, Rewrite, Rule, Rules, rewrite};
use crate::error::Result;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

const MACHINE_ID: &[u8] = b"etc/machine-id";

/// Where packages have units, and where whoever builds the tree puts others in their place.
const UNITS: (&[u8], &[u8]) = (b"usr/lib/systemd/system/", b"etc/systemd/system/");

/// A setting of a unit that starts on a first boot alone; see systemd.unit(5).
static FIRST_BOOT: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?m-u)^[ \t]*ConditionFirstBoot[ \t]*=[ \t]*(1|y|yes|t|true|on)[ \t\r]*$";
    Regex::new(pattern).expect("a test uses it")
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
            if let Some(id) = self.find(path.as_bytes())
                && self.counts(id, rule)?
            {
                return Ok(true);
            }
        }
        Ok(rule.when.is_empty())
    }

    fn find(self, path: &[u8]) -> Option<InodeId> {
        let (packaged, own) = UNITS;
        let instead = path.strip_prefix(packaged).map(|name| [own, name].concat());
        instead.and_then(|path| self.tree.find(&path)).or_else(|| self.tree.find(path))
    }

    fn counts(self, id: InodeId, rule: &Rule) -> Result<bool> {
        match self.tree.inode(id).kind {
            Kind::File { .. } => {
                let content = read(self.tree, id)?;
                let is_it =
                    rule.when_match.as_ref().is_none_or(|pattern| pattern.is_match(&content));
                Ok(is_it && (!FIRST_BOOT.is_match(&content) || self.boots_first()?))
            }
            _ => Ok(rule.when_match.is_none() && self.tree.target(id) != b"/dev/null"),
        }
    }

    /// Whether systemd takes the next boot for the first, by what rules make of the machine id; see
    /// machine-id(5).
    fn boots_first(self) -> Result<bool> {
        let Some(id) = self.tree.find(MACHINE_ID) else { return Ok(true) };
        if !matches!(self.tree.inode(id).kind, Kind::File { .. }) {
            return Ok(false);
        }
        let mut content = read(self.tree, id)?;
        let mut matching = Vec::new();
        self.rules.matching(MACHINE_ID, &mut matching);
        for rule in matching.into_iter().map(|number| self.rules.get(number)) {
            match &rule.action {
                Action::Rewrite(Rewrite::Substitute { pattern, with }) => {
                    let changed = rewrite::substitute(&content, pattern, with, self.epoch);
                    content = changed.unwrap_or(content);
                }
                Action::Remove { content: None } => return Ok(true),
                Action::Truncate => content.clear(),
                _ => {}
            }
        }
        Ok(content.trim_ascii() == b"uninitialized")
    }
}
