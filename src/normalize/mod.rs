//! Brings a tree into its canonical form: what differs between two installations of the same
//! packages, and secrets that must not be in an image, by rules that are data.
//!
//! A tree is examined by [`Rules`], which says what would be done and why, and then changed. What
//! it was read from is never touched. Rules see the tree and the epoch alone, so equal trees have
//! equal results. The built-in rules are in `builtin.toml`; a file of the same form adds others.

mod apply;
mod condition;
mod findings;
mod order;
mod packages;
mod profile;
mod report;
mod rewrite;
mod rule;
mod rules;

use std::collections::BTreeSet;

pub use findings::{Finding, findings};
pub use profile::Profile;
pub use report::{Fired, FiredRecord, Report};
pub use rule::{Action, Order, Rewrite, Rule, Target};
pub use rules::Rules;

use apply::{Edits, Walk};

use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::Tree;

/// Says what the rules would do to a tree in which nothing is later than `epoch`.
///
/// # Errors
/// [`Error::Source`] and [`Error::Changed`] if a file can't be read.
pub fn check(tree: &Tree, rules: &Rules, epoch: Timestamp) -> Result<Report> {
    Ok(Walk::run(tree, rules, epoch)?.0)
}

/// Brings a tree into its canonical form, and says what was done.
///
/// # Errors
/// [`Error::Refused`] if a rule refuses it; and those of [`check`].
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

/// Names the secrets that stay in a tree because the built-in rules about them are not among the
/// rules, and no file of rules switched them off.
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
    Ok(fired.filter_map(Fired::into_warning).collect())
}

/// Does to a tree what the rules can do, and passes over what they refuse.
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

/// The error of the first rule that refuses, which names all paths that are refused, and all rules
/// that would have to be switched off.
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
            "{remedy}, or switch the rule off by `disable = [{}]` in a file of rules",
            names.join(", ")
        ),
    })
}
