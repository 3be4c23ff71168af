//! Goes over a tree with a set of rules and collects what is to be changed.

use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::Regex;

use super::condition::Condition;
use super::rewrite::{self, Outcome, Subject};
use super::{Action, Fired, Report, Rewrite, Rules, Target, order};
use crate::error::{Error, Result};
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
    /// The paths of every file that has several, once they are needed.
    names: Option<Names>,
}

type Names = BTreeMap<InodeId, Vec<Vec<u8>>>;

impl<'a> Walk<'a> {
    /// Goes over the whole tree.
    pub(super) fn run(
        tree: &'a Tree,
        rules: &'a Rules,
        epoch: Timestamp,
    ) -> Result<(Report, Edits)> {
        let condition = Condition { tree, rules, epoch };
        let applies = rules.iter().map(|rule| condition.holds(rule)).collect::<Result<_>>()?;
        let (edits, fired) = (Edits::default(), rules.iter().map(|_| Vec::new()).collect());
        Self { tree, rules, epoch, applies, edits, fired, names: None }.report()
    }

    fn report(mut self) -> Result<(Report, Edits)> {
        self.directory(InodeId::ROOT, &mut Vec::new(), &mut Vec::new())?;
        let fired = self.rules.iter().zip(self.fired).filter(|(_, paths)| !paths.is_empty());
        let fired = fired.map(|(rule, paths)| Fired {
            rule: rule.name.clone(),
            verb: rule.action.verb(),
            reason: rule.reason.clone(),
            by_epoch: match &rule.action {
                Action::Rewrite(Rewrite::Substitute { with, .. }) => with.contains(rewrite::EPOCH),
                Action::Rewrite(_) => true,
                _ => false,
            },
            paths,
        });
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
        for number in std::mem::take(matching) {
            let rule = self.rules.get(number);
            if !self.applies[number] || !is_target(self.tree.inode(id).kind, rule.target) {
                continue;
            }
            let mut goes = false;
            let fires = match &rule.action {
                Action::Remove { content } => {
                    goes = self.matches(id, content.as_ref())?;
                    goes
                }
                Action::Refuse { content, .. } => self.matches(id, content.as_ref())?,
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
                if self.edits.content.contains_key(&id) && !goes {
                    self.all_names_match(id, number)?;
                }
                self.fired[number].push(path.to_vec());
            }
            if goes {
                return Ok(Fate::Goes);
            }
        }
        Ok(Fate::Stays)
    }

    /// Whether content is as it must be, if it must.
    fn matches(&self, id: InodeId, content: Option<&Regex>) -> Result<bool> {
        Ok(match content {
            Some(pattern) => pattern.is_match(&self.content(id)?),
            None => true,
        })
    }

    /// The content of a regular file as the rules so far have left it.
    fn content(&self, id: InodeId) -> Result<Vec<u8>> {
        match self.edits.content.get(&id) {
            None => read(self.tree, id),
            Some(Replacement::Whole(content)) => Ok(content.clone()),
            Some(Replacement::Head(head)) => {
                let mut content = read(self.tree, id)?;
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
        let is_empty = match self.edits.content.get(&id) {
            Some(Replacement::Whole(content)) => content.is_empty(),
            _ => matches!(self.tree.inode(id).kind, Kind::File { size: 0, .. }),
        };
        if !is_empty {
            self.edits.content.insert(id, Replacement::Whole(Vec::new()));
        }
        !is_empty
    }

    /// Content that a rule changes is that of all names of a file: it must be about every one of them.
    fn all_names_match(&mut self, id: InodeId, number: usize) -> Result<()> {
        if self.tree.inode(id).links < 2 {
            return Ok(());
        }
        let tree = self.tree;
        let names = self.names.get_or_insert_with(|| names(tree));
        let mut matching = Vec::new();
        for path in names.get(&id).into_iter().flatten() {
            self.rules.matching(path, &mut matching);
            if !matching.contains(&number) {
                return Err(Error::Refused {
                    path: path.clone(),
                    rule: format!(
                        "it is a hard link to what the rule {} changes, which is not about it",
                        self.rules.get(number).name
                    ),
                    remedy:
                        "make it a file of its own, or name the rule in `disable` of a file of \
                             rules"
                            .into(),
                });
            }
        }
        Ok(())
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

/// The paths of every file that has several.
fn names(tree: &Tree) -> Names {
    let mut names = Names::new();
    let mut pending = vec![(InodeId::ROOT, Vec::new())];
    while let Some((directory, path)) = pending.pop() {
        for entry in tree.entries(directory) {
            let (id, name) = (entry.inode(), tree.name(entry));
            let path = if path.is_empty() { name.to_vec() } else { [&path, name].join(&b'/') };
            match tree.inode(id) {
                inode if inode.kind == Kind::Directory => pending.push((id, path)),
                inode if inode.links > 1 => names.entry(id).or_default().push(path),
                _ => {}
            }
        }
    }
    names
}

/// The most that is read of a file: what rules are about is text and small databases.
const MAX: u64 = 256 << 20;

/// The content of a regular file of a tree, for a rule.
pub(super) fn read(tree: &Tree, id: InodeId) -> Result<Vec<u8>> {
    match tree.inode(id).kind {
        Kind::File { size, .. } if size > MAX => Err(Error::Refused {
            path: tree.path(id),
            rule: format!("it has {size} bytes, and rules read files of at most {MAX}"),
            remedy:
                "leave it out (--exclude), or name the rule that is about it in `disable` of a \
                     file of rules"
                    .into(),
        }),
        _ => tree.read(id),
    }
}

fn is_target(kind: Kind, target: Target) -> bool {
    match target {
        Target::Any => true,
        Target::Directory => kind == Kind::Directory,
        Target::NoDirectory => kind != Kind::Directory,
        Target::File => matches!(kind, Kind::File { .. }),
    }
}
