//! Normalizes a tree: removes the differences between two installations of the same packages, and
//! the secrets that must not be in an image. The rules are data.
//!
//! [`check`] applies [`Rules`] to a tree and reports what they would do and why; [`normalize`] also
//! changes the tree. The source of the tree is never modified. Rules depend only on the tree and
//! the epoch, so equal trees have equal results. The built-in rules are in `builtin.toml`, and a
//! file of the same format adds others.

mod apply;
mod condition;
mod findings;
mod order;
mod owners;
mod packages;
mod profile;
mod rewrite;
mod rule;
mod rules;

use std::collections::BTreeSet;

pub use crate::report::{Fired, FiredRecord, Report};
pub use findings::{Finding, Scope, findings};
pub use profile::Profile;
pub use rule::{Action, Order, Rewrite, Rule, Target};
pub use rules::Rules;

use apply::{Edits, Walk};

use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::Tree;

/// Version of the built-in rules and of the actions of rules.
pub const LAYOUT_VERSION: u32 = 1;

/// Reports what the rules would do to a tree in which nothing is later than `epoch`.
///
/// # Errors
/// [`Error::Source`] and [`Error::Changed`] if a file can't be read.
pub fn check(tree: &Tree, rules: &Rules, epoch: Timestamp) -> Result<Report> {
    Ok(Walk::run(tree, rules, epoch)?.0)
}

/// Normalizes a tree, and reports what was done.
///
/// # Errors
/// [`Error::Refused`] if a rule rejects the tree; and those of [`check`].
pub fn normalize(tree: &mut Tree, rules: &Rules, epoch: Timestamp) -> Result<Report> {
    if rules.is_empty() {
        return Ok(Report::default());
    }
    let (report, edits) = Walk::run(tree, rules, epoch)?;
    match refusal(&report) {
        Some(error) => Err(error),
        None => apply(tree, edits).map(|()| report),
    }
}

/// Returns warnings about the secrets that stay in a tree because the built-in rules about them are
/// not among `rules`, unless a rules file has disabled them.
pub(crate) fn remaining_secrets(
    tree: &Tree,
    rules: &Rules,
    epoch: Timestamp,
) -> Result<Vec<Warning>> {
    let watched = rules.watched();
    if watched.is_empty() {
        return Ok(Vec::new());
    }
    let fired = check(tree, &watched, epoch)?.fired.into_iter();
    Ok(fired.filter_map(warning).collect())
}

/// Returns the warning about a disabled rule that would have fired.
fn warning(fired: Fired) -> Option<Warning> {
    let Fired { rule, verb, reason, paths, .. } = fired;
    let mut paths = paths.into_iter();
    let path = paths.next()?;
    let others: Vec<_> = paths.map(|path| Escaped(&path).to_string()).collect();
    let also = match &*others {
        [] => String::new(),
        others => format!(" (and {})", others.join(", ")),
    };
    let message =
        format!("stays in the image{also}, although the rule {rule} would {verb} it: {reason}");
    Some(Warning { path, message })
}

/// Applies the rules to a tree, ignoring what they refuse.
pub(crate) fn change(tree: &mut Tree, rules: &Rules, epoch: Timestamp) -> Result<Report> {
    let (report, edits) = Walk::run(tree, rules, epoch)?;
    apply(tree, edits).map(|()| report)
}

fn apply(tree: &mut Tree, edits: Edits) -> Result<()> {
    let Edits { removed, content, mtimes } = edits;
    let content = content.into_iter().collect::<Vec<_>>();
    if !content.is_empty() {
        tree.replace_content(content);
    }
    mtimes.into_iter().for_each(|(id, mtime)| tree.set_mtime(id, mtime));
    if !removed.is_empty() {
        *tree = tree.without_entries(&removed)?;
    }
    Ok(())
}

/// Returns the error of the first rule that refuses the tree.
///
/// It names all refused paths, and all rules that would have to be disabled.
fn refusal(report: &Report) -> Option<Error> {
    let refusing = report.fired.iter().filter_map(|fired| Some((fired, fired.remedy.as_ref()?)));
    let refusing: Vec<_> = refusing.collect();
    let (first, remedy) = *refusing.first()?;
    let mut paths: BTreeSet<_> = refusing.iter().flat_map(|(fired, _)| &fired.paths).collect();
    let path = first.paths.first().cloned().unwrap_or_default();
    paths.remove(&path);
    let others: Vec<_> = paths.into_iter().map(|path| Escaped(path).to_string()).collect();
    let also = match &*others {
        [] => String::new(),
        others => format!(" (so are {})", others.join(", ")),
    };
    let names: BTreeSet<_> =
        refusing.iter().map(|(fired, _)| format!("{:?}", fired.rule)).collect();
    let names: Vec<_> = names.into_iter().collect();
    Some(Error::Refused {
        path,
        rule: format!("refused by the rule {}{also}: {}", first.rule, first.reason),
        remedy: format!(
            "{remedy}, or disable the rule with `disable = [{}]` in a file of rules",
            names.join(", ")
        ),
    })
}
