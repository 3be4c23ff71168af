//! Goes over a tree with a set of rules and collects what is to be changed.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::Regex;

use super::condition::Condition;
use super::rewrite::{self, Outcome, Subject};
use super::{Action, Fired, Report, Rewrite, Rule, Rules, Target, order, packages};
use crate::error::Result;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Replacement, Tree};

/// What is to be changed in a tree.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// Names that go, as positions in the list of all entries.
    pub(super) removed: BTreeSet<usize>,
    pub(super) content: BTreeMap<InodeId, Replacement>,
    pub(super) mtimes: BTreeMap<InodeId, Timestamp>,
}

/// What becomes of a name.
enum Fate {
    Stays,
    Goes,
}

pub(super) struct Walk<'a> {
    tree: &'a Tree,
    rules: &'a Rules,
    epoch: Timestamp,
    /// Which rules apply to this tree.
    applies: Vec<bool>,
    edits: Edits,
    /// The paths on which each rule fired.
    fired: Vec<Vec<Vec<u8>>>,
    /// The rules that change the content of each inode.
    changed_by: BTreeMap<InodeId, BTreeSet<usize>>,
    /// The paths on which a rule can't do what it should.
    conflicts: BTreeMap<(usize, Conflict), Vec<Vec<u8>>>,
    /// What packages brought, once a rule asks.
    packaged: OnceCell<BTreeSet<InodeId>>,
}

/// Why a rule can't do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Conflict {
    Linked,
    TooLarge,
}

impl Conflict {
    fn reason(self) -> String {
        match self {
            Self::Linked => {
                "it is a hard link to what the rule changes, which does not name it".into()
            }
            Self::TooLarge => format!("rules read files of at most {MAX} bytes"),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Linked => "make it a file of its own",
            Self::TooLarge => "leave it out (--exclude)",
        }
    }
}

/// The most that is read of a file, in bytes: what rules are about is text and small databases.
const MAX: u64 = 256 << 20;

impl<'a> Walk<'a> {
    /// Goes over the whole tree.
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
        let walk =
            Self { tree, rules, epoch, applies, edits, fired, changed_by, conflicts, packaged };
        walk.report()
    }

    fn report(mut self) -> Result<(Report, Edits)> {
        self.directory(InodeId::ROOT, &mut Vec::new(), &mut Vec::new())?;
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

    fn directory(
        &mut self,
        directory: InodeId,
        path: &mut Vec<u8>,
        matching: &mut Vec<usize>,
    ) -> Result<()> {
        let tree = self.tree;
        for (at, entry) in tree.entry_range(directory).zip(tree.entries(directory)) {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(tree.name(entry));
            let id = entry.inode();
            match self.node(id, path, matching)? {
                Fate::Goes => {
                    self.edits.removed.insert(at);
                }
                Fate::Stays if tree.inode(id).kind == Kind::Directory => {
                    self.directory(id, path, matching)?;
                }
                Fate::Stays => {}
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn node(&mut self, id: InodeId, path: &[u8], matching: &mut Vec<usize>) -> Result<Fate> {
        self.rules.matching(path, matching);
        let mut refused_by = Vec::new();
        for number in std::mem::take(matching) {
            let rule = self.rules.get(number);
            if !self.applies[number] || !is_target(self.tree.inode(id).kind, rule) {
                continue;
            }
            if self.changed_by.get(&id).is_some_and(|rules| rules.contains(&number)) {
                // It was, under another name.
                self.fired[number].push(path.to_vec());
                continue;
            }
            if reads_all(&rule.action) && self.size(id) > MAX {
                self.conflicts.entry((number, Conflict::TooLarge)).or_default().push(path.to_vec());
                continue;
            }
            let mut goes = false;
            let fires = match &rule.action {
                Action::Remove { content } => {
                    goes = self.matches(id, rule, content)?;
                    goes
                }
                Action::Refuse { content, .. } => {
                    if self.matches(id, rule, content)? {
                        refused_by.push(number);
                    }
                    false
                }
                Action::Clamp => self.clamp(id),
                Action::Truncate => self.truncate(id),
                Action::Order(order) => {
                    let ids = order::ids(self.tree, order)?;
                    self.replace(id, &|content| order::sort(content, order, &ids))?
                }
                Action::Rewrite(rewrite) => match self.rewrite(id, path, rewrite)? {
                    Outcome::Same => false,
                    Outcome::Content(content) => {
                        self.edits.content.insert(id, content);
                        true
                    }
                    Outcome::Stamp(content, mtime) => {
                        self.edits.content.insert(id, Replacement::Whole(content));
                        self.edits.mtimes.insert(id, mtime);
                        true
                    }
                    Outcome::Remove => {
                        goes = true;
                        true
                    }
                },
            };
            if fires {
                if !goes && !matches!(rule.action, Action::Clamp) {
                    self.changed_by.entry(id).or_default().insert(number);
                }
                self.fired[number].push(path.to_vec());
            }
            if goes {
                return Ok(Fate::Goes);
            }
        }
        refused_by.into_iter().for_each(|number| self.fired[number].push(path.to_vec()));
        Ok(Fate::Stays)
    }

    /// Whether content is as it must be, if it must, and no package brought it, if none may.
    fn matches(&self, id: InodeId, rule: &Rule, patterns: &[Regex]) -> Result<bool> {
        let matches = patterns.is_empty() || {
            let content = self.content(id)?;
            patterns.iter().any(|pattern| pattern.is_match(&content))
        };
        // Packages are looked at last: there are many, and few rules ask.
        Ok(matches && !(rule.unpackaged && self.is_packaged(id)?))
    }

    fn is_packaged(&self, id: InodeId) -> Result<bool> {
        let packaged = match self.packaged.get() {
            Some(packaged) => packaged,
            None => {
                let brought = packages::brought(self.tree)?;
                self.packaged.get_or_init(|| brought)
            }
        };
        Ok(packaged.contains(&id))
    }

    /// The size of a regular file as the rules so far have left it.
    fn size(&self, id: InodeId) -> u64 {
        match (self.edits.content.get(&id), self.tree.inode(id).kind) {
            (Some(Replacement::Whole(content)), _) => content.len() as u64,
            (_, Kind::File { size, .. }) => size,
            _ => 0,
        }
    }

    /// The content of a regular file as the rules so far have left it.
    fn content(&self, id: InodeId) -> Result<Vec<u8>> {
        match self.edits.content.get(&id) {
            None => self.tree.read(id),
            Some(Replacement::Whole(content)) => Ok(content.clone()),
            Some(Replacement::Head(head)) => {
                let mut content = self.tree.read(id)?;
                content[..head.len()].copy_from_slice(head);
                Ok(content)
            }
        }
    }

    fn replace(&mut self, id: InodeId, change: &dyn Fn(&[u8]) -> Vec<u8>) -> Result<bool> {
        let before = self.content(id)?;
        let after = change(&before);
        let changes = after != before;
        if changes {
            self.edits.content.insert(id, Replacement::Whole(after));
        }
        Ok(changes)
    }

    fn truncate(&mut self, id: InodeId) -> bool {
        let is_empty = self.size(id) == 0;
        if !is_empty {
            self.edits.content.insert(id, Replacement::Whole(Vec::new()));
        }
        !is_empty
    }

    /// Content that rules change is that of all names of a file: of those that stay, some rule that
    /// changes it must be about every one. Else it is not changed.
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
                whole(rewrite::substitute(&self.content(id)?, pattern, with, self.epoch))
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

/// Whether content is read from its start to its end for an action.
fn reads_all(action: &Action) -> bool {
    match action {
        Action::Remove { content } | Action::Refuse { content, .. } => !content.is_empty(),
        Action::Rewrite(rewrite) => !matches!(rewrite, Rewrite::Pyc),
        Action::Order(_) => true,
        Action::Truncate | Action::Clamp => false,
    }
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
