//! Walks a tree with a set of rules and collects the changes.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::Regex;

use super::condition::Condition;
use super::rewrite::{self, Outcome, Subject};
use super::{Action, Fired, Order, Report, Rewrite, Rule, Rules, Target, order, packages};
use crate::error::Result;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Replacement, Tree};

/// Changes to be made to a tree.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// Names to remove, as indices into the list of all entries.
    pub(super) removed: BTreeSet<usize>,
    pub(super) content: BTreeMap<InodeId, Replacement>,
    pub(super) mtimes: BTreeMap<InodeId, Timestamp>,
}

/// Decision about a name.
enum Verdict {
    Keep,
    Remove,
}

/// Effect of a rule on a node.
enum Effect {
    Nothing,
    Changes,
    Clamps,
    Removes,
    Refuses,
    /// The rule can't act because it would exceed the memory budget.
    Exceeds,
}

pub(super) struct Walk<'a> {
    tree: &'a Tree,
    rules: &'a Rules,
    epoch: Timestamp,
    /// Whether each rule applies to this tree.
    applies: Vec<bool>,
    edits: Edits,
    /// Bytes of content held by the edits.
    held: u64,
    /// Paths on which each rule fired.
    fired: Vec<Vec<Vec<u8>>>,
    /// Rules that change the content of each inode.
    changed_by: BTreeMap<InodeId, BTreeSet<usize>>,
    /// Paths on which a rule can't act.
    conflicts: BTreeMap<(usize, Conflict), Vec<Vec<u8>>>,
    /// Files that packages installed, once a rule needs them.
    packaged: OnceCell<BTreeSet<InodeId>>,
}

/// Reason why a rule can't act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Conflict {
    Linked,
    TooLarge,
}

impl Conflict {
    fn reason(self) -> String {
        match self {
            Self::Linked => {
                "hard link to a file that the rule changes, but the rule does not match this path"
                    .into()
            }
            Self::TooLarge => format!(
                "rules may hold {BUDGET} bytes of file content in memory in total, and this file \
         needs more than is left"
            ),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Linked => "make it a separate file",
            Self::TooLarge => "leave it out (`tree.exclude`)",
        }
    }
}

/// Memory budget for content, in bytes: for the content that rules examine, the new content of the
/// current file, and all new content so far. The files in question are text and small databases. A
/// sparse file counts with its whole length.
const BUDGET: u64 = 256 << 20;

impl<'a> Walk<'a> {
    /// Walks the whole tree.
    pub(super) fn run(
        tree: &'a Tree,
        rules: &'a Rules,
        epoch: Timestamp,
    ) -> Result<(Report, Edits)> {
        let condition = Condition { tree, rules, epoch };
        let applies = rules.iter().map(|rule| condition.holds(rule)).collect::<Result<_>>()?;
        let fired = rules.iter().map(|_| Vec::new()).collect();
        let (edits, changed_by) = (Edits::default(), BTreeMap::new());
        let (conflicts, packaged) = (BTreeMap::new(), OnceCell::new());
        let walk = Self {
            tree,
            rules,
            epoch,
            applies,
            edits,
            held: 0,
            fired,
            changed_by,
            conflicts,
            packaged,
        };
        walk.report()
    }

    fn report(mut self) -> Result<(Report, Edits)> {
        self.names()?;
        self.spare_other_names();
        let fired = self.rules.iter().zip(self.fired).map(|(rule, paths)| Fired {
            rule: rule.name.clone(),
            verb: rule.action.verb(),
            reason: rule.reason.clone(),
            remedy: match &rule.action {
                Action::Refuse { remedy, .. } => Some(remedy.clone()),
                _ => None,
            },
            by_epoch: match &rule.action {
                Action::Rewrite(Rewrite::Substitute { with, .. }) => with.contains(rewrite::EPOCH),
                Action::Rewrite(_) => true,
                _ => false,
            },
            paths,
        });
        let refused = self.conflicts.into_iter().map(|((number, conflict), paths)| Fired {
            rule: self.rules.get(number).name.clone(),
            verb: "refuse",
            reason: conflict.reason(),
            remedy: Some(conflict.remedy().into()),
            by_epoch: false,
            paths,
        });
        let fired = fired.filter(|fired| !fired.paths.is_empty()).chain(refused);
        Ok((Report { fired: fired.collect() }, self.edits))
    }

    /// Visits all names, those below a directory right after its own.
    fn names(&mut self) -> Result<()> {
        let tree = self.tree;
        let listing = |id| tree.entry_range(id).zip(tree.entries(id));
        let (mut path, mut matching) = (Vec::new(), Vec::new());
        // A tree may be too deep for recursion, so keep the directories on the path, each with the
        // length of its path.
        let mut directories = vec![(listing(InodeId::ROOT), 0)];
        while let Some((entries, length)) = directories.last_mut() {
            path.truncate(*length);
            let Some((at, entry)) = entries.next() else {
                directories.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(tree.name(entry));
            let id = entry.inode();
            match self.node(id, &path, &mut matching)? {
                Verdict::Remove => {
                    self.edits.removed.insert(at);
                }
                Verdict::Keep if tree.inode(id).kind == Kind::Directory => {
                    directories.push((listing(id), path.len()));
                }
                Verdict::Keep => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, id: InodeId, path: &[u8], matching: &mut Vec<usize>) -> Result<Verdict> {
        self.rules.matching(path, matching);
        let mut refused_by = Vec::new();
        for number in std::mem::take(matching) {
            let rule = self.rules.get(number);
            if !self.applies[number] || !is_target(self.tree.inode(id).kind, rule) {
                continue;
            }
            if self.changed_by.get(&id).is_some_and(|rules| rules.contains(&number)) {
                // The inode was changed under another name.
                self.fired[number].push(path.to_vec());
                continue;
            }
            match self.act(id, path, rule)? {
                Effect::Nothing => {}
                Effect::Clamps => self.fired[number].push(path.to_vec()),
                Effect::Changes => {
                    self.changed_by.entry(id).or_default().insert(number);
                    self.fired[number].push(path.to_vec());
                }
                Effect::Removes => {
                    self.fired[number].push(path.to_vec());
                    return Ok(Verdict::Remove);
                }
                Effect::Refuses => refused_by.push(number),
                Effect::Exceeds => {
                    let paths = self.conflicts.entry((number, Conflict::TooLarge)).or_default();
                    paths.push(path.to_vec());
                }
            }
        }
        refused_by.into_iter().for_each(|number| self.fired[number].push(path.to_vec()));
        Ok(Verdict::Keep)
    }

    /// Applies a rule to a node.
    fn act(&mut self, id: InodeId, path: &[u8], rule: &Rule) -> Result<Effect> {
        if memory(&rule.action, self.size(id)) > self.left() {
            return Ok(Effect::Exceeds);
        }
        let if_so = |so: bool, effect| if so { effect } else { Effect::Nothing };
        Ok(match &rule.action {
            Action::Remove { content } => if_so(self.matches(id, rule, content)?, Effect::Removes),
            Action::Refuse { content, .. } => {
                if_so(self.matches(id, rule, content)?, Effect::Refuses)
            }
            Action::Clamp => if_so(self.clamp(id), Effect::Clamps),
            Action::Truncate => if_so(self.truncate(id), Effect::Changes),
            Action::Order(order) => self.order(id, order)?,
            Action::Rewrite(rewrite) => match self.rewrite(id, path, rewrite)? {
                Outcome::Same => Effect::Nothing,
                Outcome::Content(content) => {
                    self.hold(id, content);
                    Effect::Changes
                }
                Outcome::Stamp(content, mtime) => {
                    self.hold(id, Replacement::Whole(content));
                    self.edits.mtimes.insert(id, mtime);
                    Effect::Changes
                }
                Outcome::Remove => Effect::Removes,
                Outcome::TooLong => Effect::Exceeds,
            },
        })
    }

    /// Returns the remaining bytes of the memory budget.
    fn left(&self) -> u64 {
        BUDGET.saturating_sub(self.held)
    }

    /// Holds the new content of a file until the tree is changed.
    fn hold(&mut self, id: InodeId, mut content: Replacement) {
        let (Replacement::Whole(bytes) | Replacement::Head(bytes)) = &mut content;
        bytes.shrink_to_fit();
        self.held += length(&content);
        let before = self.edits.content.insert(id, content);
        self.held -= before.as_ref().map_or(0, length);
    }

    /// Returns whether a node's content matches one of `patterns`, if there are any, and no package
    /// installed it, if the rule requires that.
    fn matches(&self, id: InodeId, rule: &Rule, patterns: &[Regex]) -> Result<bool> {
        let matches = patterns.is_empty() || {
            let content = self.content(id)?;
            patterns.iter().any(|pattern| pattern.is_match(&content))
        };
        // Packages are checked last, because they are many and few rules depend on them.
        Ok(matches && !(rule.unpackaged && self.is_packaged(id)?))
    }

    fn is_packaged(&self, id: InodeId) -> Result<bool> {
        let packaged = match self.packaged.get() {
            Some(packaged) => packaged,
            None => {
                let package_files = packages::package_files(self.tree)?;
                self.packaged.get_or_init(|| package_files)
            }
        };
        Ok(packaged.contains(&id))
    }

    /// Returns the size of a regular file as the rules so far have left it.
    fn size(&self, id: InodeId) -> u64 {
        match (self.edits.content.get(&id), self.tree.inode(id).kind) {
            (Some(Replacement::Whole(content)), _) => content.len() as u64,
            (_, Kind::File { size, .. }) => size,
            _ => 0,
        }
    }

    /// Returns the content of a regular file as the rules so far have left it.
    fn content(&self, id: InodeId) -> Result<Cow<'_, [u8]>> {
        Ok(match self.edits.content.get(&id) {
            None => self.tree.read(id)?.into(),
            Some(Replacement::Whole(content)) => content.into(),
            Some(Replacement::Head(head)) => {
                let mut content = self.tree.read(id)?;
                content[..head.len()].copy_from_slice(head);
                content.into()
            }
        })
    }

    fn order(&mut self, id: InodeId, order: &Order) -> Result<Effect> {
        let Some(ids) = order::ids(self.tree, order, self.left())? else {
            return Ok(Effect::Exceeds);
        };
        let before = self.content(id)?;
        if order::memory(&before) > self.left() {
            return Ok(Effect::Exceeds);
        }
        let after = order::sort(&before, order, &ids);
        if after == *before {
            return Ok(Effect::Nothing);
        }
        drop(before);
        self.hold(id, Replacement::Whole(after));
        Ok(Effect::Changes)
    }

    fn truncate(&mut self, id: InodeId) -> bool {
        let is_empty = self.size(id) == 0;
        if !is_empty {
            self.hold(id, Replacement::Whole(Vec::new()));
        }
        !is_empty
    }

    /// Reverts changes to files that have names which no rule covers.
    ///
    /// A change of content affects all names of a file, so each remaining name must match a rule
    /// that makes the change.
    fn spare_other_names(&mut self) {
        let tree = self.tree;
        self.changed_by.retain(|id, _| tree.inode(*id).links > 1);
        if self.changed_by.is_empty() {
            return;
        }
        let mut matching = Vec::new();
        let mut pending = vec![(InodeId::ROOT, Vec::new())];
        while let Some((directory, path)) = pending.pop() {
            for (at, entry) in tree.entry_range(directory).zip(tree.entries(directory)) {
                if self.edits.removed.contains(&at) {
                    continue;
                }
                let (id, name) = (entry.inode(), tree.name(entry));
                let path = if path.is_empty() { name.to_vec() } else { [&path, name].join(&b'/') };
                if tree.inode(id).kind == Kind::Directory {
                    pending.push((id, path));
                } else if let Some(rules) = self.changed_by.get(&id) {
                    self.rules.matching(&path, &mut matching);
                    if !matching.iter().any(|number| rules.contains(number)) {
                        self.edits.content.remove(&id);
                        self.edits.mtimes.remove(&id);
                        let number = *rules.first().expect("some rule changed it");
                        self.conflicts.entry((number, Conflict::Linked)).or_default().push(path);
                    }
                }
            }
        }
    }

    fn clamp(&mut self, id: InodeId) -> bool {
        let is_later = self.tree.inode(id).mtime > self.epoch;
        if is_later {
            self.edits.mtimes.insert(id, self.epoch);
        }
        is_later
    }

    fn rewrite(&self, id: InodeId, path: &[u8], rewrite: &Rewrite) -> Result<Outcome> {
        let subject = Subject { tree: self.tree, id, path, epoch: self.epoch };
        let whole = |content: Option<Vec<u8>>| {
            content.map_or(Outcome::Same, |content| Outcome::Content(Replacement::Whole(content)))
        };
        Ok(match rewrite {
            Rewrite::Substitute { pattern, with } => {
                let left = self.left() - self.size(id);
                let content = self.content(id)?;
                match rewrite::substitute(&content, pattern, with, self.epoch, left) {
                    Ok(content) => whole(content),
                    Err(rewrite::TooLong) => Outcome::TooLong,
                }
            }
            Rewrite::ShadowDay => whole(rewrite::shadow_day(&self.content(id)?, self.epoch)),
            Rewrite::Jks => whole(rewrite::jks(&self.content(id)?, self.epoch)),
            Rewrite::Pyc => match rewrite::pyc(&subject)? {
                Some(head) => Outcome::Content(Replacement::Head(head)),
                None => Outcome::Same,
            },
            Rewrite::UpdateStamp => rewrite::update_stamp(&subject, &self.content(id)?),
        })
    }
}

fn length(content: &Replacement) -> u64 {
    let (Replacement::Whole(bytes) | Replacement::Head(bytes)) = content;
    bytes.len() as u64
}

/// Returns the smallest number of bytes that an action takes for a file of `size` bytes.
fn memory(action: &Action, size: u64) -> u64 {
    let copies = match action {
        Action::Remove { content } | Action::Refuse { content, .. } => {
            u64::from(!content.is_empty())
        }
        Action::Truncate | Action::Clamp | Action::Rewrite(Rewrite::Pyc) => 0,
        // The content that is written may be longer than the present content.
        Action::Rewrite(Rewrite::UpdateStamp) => 4,
        Action::Rewrite(_) | Action::Order(_) => 2,
    };
    size.saturating_mul(copies)
}

fn is_target(kind: Kind, rule: &Rule) -> bool {
    match (rule.target, kind) {
        (Target::File, Kind::File { size, .. }) => rule.max_size.is_none_or(|max| size <= max),
        (Target::File, _) => false,
        (Target::Any, _) => true,
        (Target::Directory, kind) => kind == Kind::Directory,
        (Target::NoDirectory, kind) => kind != Kind::Directory,
    }
}
