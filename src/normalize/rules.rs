//! Sets of rules.

use std::path::Path;
use std::sync::LazyLock;

use super::rule::RuleFile;
use super::{Profile, Rule};
use crate::error::{Error, Result};
use crate::glob::Globs;

static BUILTIN: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let text = include_str!("builtin.toml");
    RuleFile::parse(Path::new("builtin.toml"), text).expect("a test reads them").rules
});

/// The rules that a tree is brought into its canonical form by, in their order.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    paths: Globs,
    /// Which rule each pattern of `paths` belongs to.
    owners: Vec<usize>,
    except: Vec<Globs>,
}

impl Rules {
    /// No rules, which leave a tree as it is.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The built-in rules of a profile that apply without being asked for.
    #[must_use]
    pub fn builtin(profile: Profile) -> Self {
        Self::selected(|rule| rule.enabled && rule.profiles.contains(&profile))
    }

    fn selected(keep: impl Fn(&Rule) -> bool) -> Self {
        let rules = BUILTIN.iter().filter(|rule| keep(rule)).cloned();
        Self::new(rules.collect()).expect("a test reads all patterns")
    }

    /// All built-in rules of all profiles, also those that are switched off.
    #[must_use]
    pub fn all() -> Vec<Rule> {
        BUILTIN.clone()
    }

    /// All built-in rules of all profiles, also those that are switched off, to be applied.
    pub(crate) fn every() -> Self {
        Self::selected(|_| true)
    }

    /// The built-in rules that have to be switched on, and are not among these.
    pub(super) fn off(&self) -> Self {
        Self::selected(|rule| !rule.enabled && self.iter().all(|here| here.name != rule.name))
    }

    /// The built-in rules of a profile, if there is one, with those of a file that has the form of
    /// the built-in ones. It can name rules in `enable` and `disable`, and its own rules follow the
    /// built-in ones. One that has the name of a built-in rule stands in the place of that.
    ///
    /// # Errors
    /// [`Error::Definition`] for what is no rule, and names of rules that there are not.
    pub fn with_file(profile: Option<Profile>, file: &Path, text: &str) -> Result<Self> {
        let RuleFile { enable, disable, rules: added } = RuleFile::parse(file, text)?;
        let fail = |rule: String, remedy: &str| Error::Definition {
            file: file.to_owned(),
            line: 0,
            rule,
            remedy: remedy.into(),
        };
        let all = Self::all();
        for name in enable.iter().chain(&disable) {
            if !all.iter().chain(&added).any(|rule| rule.name == *name) {
                return Err(fail(
                    format!("there is no rule {name:?}"),
                    "see `detfs normalize --list` for their names",
                ));
            }
        }
        if let Some(name) = enable.iter().find(|name| disable.contains(name)) {
            return Err(fail(format!("{name:?} is to be on and off"), "leave it in one list"));
        }
        let belongs = |rule: &Rule| profile.is_some_and(|profile| rule.profiles.contains(&profile));
        let mut rules: Vec<Rule> = all
            .into_iter()
            .filter(|rule| rule.enabled && belongs(rule) || enable.contains(&rule.name))
            .collect();
        for rule in added {
            // A rule of a caller that names no profile is for every tree.
            if !(rule.profiles.is_empty() || belongs(&rule)) {
                continue;
            }
            match rules.iter_mut().find(|other| other.name == rule.name) {
                Some(other) => *other = rule,
                None => rules.push(rule),
            }
        }
        rules.retain(|rule| {
            (rule.enabled || enable.contains(&rule.name)) && !disable.contains(&rule.name)
        });
        Self::new(rules).map_err(|error| fail(error, "put a \\ before what is no pattern"))
    }

    fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let globs = |rule: &Rule, patterns: &[String]| {
            Globs::new(patterns).map_err(|error| format!("rule {:?}: {error}", rule.name))
        };
        let mut owners = Vec::new();
        let mut except = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            globs(rule, &rule.paths)?;
            owners.extend(rule.paths.iter().map(|_| at));
            except.push(globs(rule, &rule.except)?);
        }
        let patterns = rules.iter().flat_map(|rule| &rule.paths);
        let paths = Globs::new(patterns).map_err(|error| error.to_string())?;
        Ok(Self { rules, paths, owners, except })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rules whose patterns a path matches, by number in ascending order, each once.
    pub(super) fn matching(&self, path: &[u8], numbers: &mut Vec<usize>) {
        self.paths.matching(path, numbers);
        numbers.iter_mut().for_each(|number| *number = self.owners[*number]);
        numbers.dedup();
        numbers.retain(|&number| !self.except[number].matches(path));
    }

    pub(super) fn get(&self, number: usize) -> &Rule {
        &self.rules[number]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RULE: &str = "[[rule]]\npath = \"x\"\nverb = \"remove\"\nreason = \"r\"\n";

    fn names(profile: Option<Profile>, text: &str) -> Vec<String> {
        let rules = Rules::with_file(profile, Path::new("f"), text).unwrap();
        rules.iter().map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn builtin_rules_are_well_formed() {
        let all = Rules::all();
        let names: BTreeSet<_> = all.iter().map(|rule| &rule.name).collect();
        assert_eq!(names.len(), all.len());
        for rule in &all {
            assert!(!rule.profiles.is_empty() && !rule.reason.is_empty(), "{}", rule.name);
            assert!(!rule.reason.ends_with('.'), "{}", rule.name);
        }
        for profile in Profile::ALL {
            assert!(!Rules::builtin(profile).is_empty());
        }
    }

    #[test]
    fn files_add_replace_and_switch() {
        let own = format!("{RULE}name = \"own\"\n");
        assert_eq!(names(None, &own), ["own"]);
        assert_eq!(names(None, &format!("disable = [\"own\"]\n{own}")), [""; 0]);
        assert_eq!(names(None, &format!("{own}profiles = [\"arch\"]\n")), [""; 0]);
        let builtin = names(Some(Profile::Arch), "");
        let with = names(Some(Profile::Arch), &own);
        assert_eq!(with[..builtin.len()], builtin[..]);
        assert_eq!(with[builtin.len()..], ["own"]);
        let without = names(Some(Profile::Arch), "disable = [\"logs\"]");
        assert_eq!(without.len(), builtin.len() - 1);
        assert_eq!(names(Some(Profile::Arch), "enable = [\"hostname\"]").len(), builtin.len() + 1);
        assert_eq!(names(None, "enable = [\"hostname\"]"), ["hostname"]);
        assert_eq!(names(Some(Profile::Arch), &format!("{RULE}name = \"logs\"\n")), builtin);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, what) in [
            ("disable = [\"nothing\"]".to_owned(), "there is no rule \"nothing\""),
            (
                "enable = [\"logs\"]\ndisable = [\"logs\"]".to_owned(),
                "\"logs\" is to be on and off",
            ),
            (format!("{}name = \"own\"\n", RULE.replace("\"x\"", "\"a[\"")), "rule \"own\": "),
        ] {
            let error = Rules::with_file(None, Path::new("f"), &text).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
