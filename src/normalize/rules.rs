//! Sets of rules.

use std::path::Path;
use std::sync::LazyLock;

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

use super::rule::RuleFile;
use super::{Action, Profile, Rule};
use crate::error::{Error, Result};
use crate::glob::Globs;
use crate::hex::hex;

static BUILTIN: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let text = include_str!("builtin.toml");
    RuleFile::parse(Path::new("builtin.toml"), text).expect("a test reads them").rules
});

/// Returns the patterns of private keys, which are those of the built-in rule about their content.
pub(super) fn private_keys() -> &'static [Regex] {
    let rule = BUILTIN.iter().find(|rule| rule.name == "private-keys");
    match rule.map(|rule| &rule.action) {
        Some(Action::Refuse { content, .. }) => content,
        _ => unreachable!("a test lists private keys"),
    }
}

/// An ordered set of rules that normalizes a tree.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Profile whose built-in rules the set is based on.
    profile: Option<Profile>,
    /// SHA-256 of the file that rules were added from, in hexadecimal digits.
    file_digest: Option<String>,
    /// Names of rules that a file disabled.
    disabled: Vec<String>,
    /// Names of built-in rules that a file replaced.
    replaced: Vec<String>,
    anywhere: Patterns,
    /// Patterns that match nothing below [`USR`], where most files are.
    outside_usr: Patterns,
    except: Vec<Globs>,
}

/// Directories for the files of distributions.
const USR: [&str; 3] = ["usr/", "nix/store/", "gnu/store/"];

/// Patterns of several rules.
#[derive(Debug, Clone, Default)]
struct Patterns {
    globs: Globs,
    /// Rule that each pattern belongs to.
    owners: Vec<usize>,
}

impl Patterns {
    fn new(patterns: &[(usize, &String)]) -> Result<Self, String> {
        let globs = Globs::new(patterns.iter().map(|(_, pattern)| pattern));
        let globs = globs.map_err(|error| error.to_string())?;
        Ok(Self { globs, owners: patterns.iter().map(|(owner, _)| *owner).collect() })
    }

    /// Finds the rules with a pattern that matches a path, in ascending order.
    fn matching(&self, path: &[u8], numbers: &mut Vec<usize>) {
        self.globs.matching(path, numbers);
        numbers.iter_mut().for_each(|number| *number = self.owners[*number]);
    }
}

/// Returns whether a pattern may match something below [`USR`].
fn may_be_in_usr(pattern: &str) -> bool {
    let path = pattern.trim_start_matches('/');
    let (first, _) = path.split_once('/').unwrap_or((path, ""));
    first.contains(['*', '?', '[', '{', '\\']) || USR.iter().any(|usr| usr.starts_with(first))
}

impl Rules {
    /// Returns an empty set of rules, which leaves a tree unchanged.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the built-in rules that are enabled by default: those for every tree, and those of
    /// `profile`.
    #[must_use]
    pub fn builtin(profile: Option<Profile>) -> Self {
        let belongs = |rule: &Rule| rule.profiles.is_empty() || rule.is_of(profile);
        Self { profile, ..Self::selected(|rule| rule.enabled && belongs(rule)) }
    }

    /// Returns the profile whose rules the set has.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.profile
    }

    /// Returns the SHA-256 of the file that rules were added from, in hexadecimal digits. `None` if
    /// there is no such file.
    #[must_use]
    pub fn file_digest(&self) -> Option<&str> {
        self.file_digest.as_deref()
    }

    /// Returns the names of the built-in rules that rules of a file replaced.
    #[must_use]
    pub fn replaced(&self) -> &[String] {
        &self.replaced
    }

    fn selected(keep: impl Fn(&Rule) -> bool) -> Self {
        let rules = BUILTIN.iter().filter(|rule| keep(rule)).cloned();
        Self::new(rules.collect()).expect("a test reads all patterns")
    }

    /// Returns all built-in rules of all profiles, including the disabled ones.
    #[must_use]
    pub fn all() -> Vec<Rule> {
        BUILTIN.clone()
    }

    /// Returns a set of all built-in rules of all profiles, including the disabled ones.
    pub(crate) fn every() -> Self {
        Self::selected(|_| true)
    }

    /// Returns the built-in rules that are disabled by default and are not in this set.
    pub(super) fn off(&self) -> Self {
        Self::selected(|rule| !rule.enabled && !self.has(&rule.name))
    }

    /// Returns the built-in rules about secrets that are not in this set and that no file disabled.
    pub(super) fn watched(&self) -> Self {
        Self::selected(|rule| {
            let is_known = self.has(&rule.name) || self.disabled.contains(&rule.name);
            rule.enabled && rule.profiles.is_empty() && !is_known
        })
    }

    fn has(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.name == name)
    }

    /// Adds the rules of a file in the format of the built-in ones.
    ///
    /// The file can list rules in `enable` and `disable`. Its own rules follow the built-in ones,
    /// except that a rule with the name of a built-in rule replaces that rule.
    ///
    /// # Errors
    /// [`Error::Definition`] for invalid rules and for names of rules that don't exist.
    pub fn with_file(&self, file: &Path, text: &str) -> Result<Self> {
        let RuleFile { enable, disable, rules: added } = RuleFile::parse(file, text)?;
        let fail = |rule: String, remedy: &str| Error::Definition {
            file: file.to_owned(),
            line: 0,
            rule,
            remedy: remedy.into(),
        };
        for name in enable.iter().chain(&disable) {
            if !BUILTIN.iter().chain(&self.rules).chain(&added).any(|rule| rule.name == *name) {
                return Err(fail(
                    format!("unknown rule {name:?}"),
                    "see `normalize.rules` for the names of rules",
                ));
            }
        }
        if let Some(name) = enable.iter().find(|name| disable.contains(name)) {
            return Err(fail(
                format!("{name:?} is both enabled and disabled"),
                "keep it in one list",
            ));
        }
        let switched_on = |rule: &&Rule| enable.contains(&rule.name) && !self.has(&rule.name);
        let mut rules = self.rules.clone();
        rules.extend(BUILTIN.iter().filter(switched_on).cloned());
        let position = |rule: &Rule| BUILTIN.iter().position(|other| other.name == rule.name);
        rules.sort_by_key(|rule| position(rule).unwrap_or(usize::MAX));
        let mut replaced = self.replaced.clone();
        // A caller's rule that names no profile applies to every tree.
        for rule in
            added.into_iter().filter(|rule| rule.profiles.is_empty() || rule.is_of(self.profile))
        {
            match rules.iter_mut().find(|other| other.name == rule.name) {
                Some(other) => {
                    replaced.push(rule.name.clone());
                    *other = rule;
                }
                None => rules.push(rule),
            }
        }
        rules.retain(|rule| {
            (rule.enabled || enable.contains(&rule.name)) && !disable.contains(&rule.name)
        });
        let disabled = [&*self.disabled, &disable].concat();
        let rules =
            Self::new(rules).map_err(|error| fail(error, "escape literal characters with \\"))?;
        let file_digest = Some(hex(&Sha256::digest(text)));
        Ok(Self { profile: self.profile, file_digest, disabled, replaced, ..rules })
    }

    fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let all = rules.iter().enumerate();
        let all = all.flat_map(|(at, rule)| rule.paths.iter().map(move |path| (at, path)));
        let (anywhere, outside_usr): (Vec<_>, Vec<_>) =
            all.partition(|(at, path)| !rules[*at].outside_usr && may_be_in_usr(path));
        let compiled = Patterns::new(&anywhere).and_then(|anywhere| {
            let except = rules.iter().map(|rule| Globs::new(&rule.except));
            let except = except.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
            Ok((anywhere, Patterns::new(&outside_usr)?, except))
        });
        // An error of the whole set may be that of a single pattern, which is then reported by
        // name.
        let (anywhere, outside_usr, except) = compiled.map_err(|error| {
            let fault = |rule: &Rule| Globs::new(rule.paths.iter().chain(&rule.except)).err();
            let mut faults = rules.iter().filter_map(|rule| Some((&rule.name, fault(rule)?)));
            faults.next().map_or(error, |(name, error)| format!("rule {name:?}: {error}"))
        })?;
        Ok(Self { rules, anywhere, outside_usr, except, ..Self::default() })
    }

    /// Returns whether the set has no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns the rules in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Finds the rules with a pattern that matches a path, by number in ascending order without
    /// duplicates.
    pub(super) fn matching(&self, path: &[u8], numbers: &mut Vec<usize>) {
        self.anywhere.matching(path, numbers);
        if !USR.iter().any(|usr| path.starts_with(usr.as_bytes())) {
            let mut more = Vec::new();
            self.outside_usr.matching(path, &mut more);
            numbers.extend(more);
            numbers.sort_unstable();
        }
        numbers.dedup();
        numbers.retain(|&number| !self.except[number].matches(path));
    }

    pub(super) fn get(&self, number: usize) -> &Rule {
        &self.rules[number]
    }

    /// Returns whether a rule that is not built in has a pattern that matches a path.
    pub(super) fn has_added(&self, path: &[u8]) -> bool {
        let mut matching = Vec::new();
        self.matching(path, &mut matching);
        let is_builtin = |rule: &Rule| BUILTIN.iter().any(|other| other.name == rule.name);
        matching.into_iter().any(|number| !is_builtin(&self.rules[number]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RULE: &str = "[[rule]]\npath = \"x\"\nverb = \"remove\"\nreason = \"r\"\n";

    fn names(start: &Rules, text: &str) -> Vec<String> {
        let rules = start.with_file(Path::new("f"), text).unwrap();
        rules.iter().map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn builtin_rules_are_well_formed() {
        let all = Rules::all();
        let names: BTreeSet<_> = all.iter().map(|rule| &rule.name).collect();
        assert_eq!(names.len(), all.len());
        for rule in &all {
            assert!(!rule.reason.is_empty() && !rule.reason.ends_with('.'), "{}", rule.name);
        }
        let secrets = Rules::builtin(None);
        assert!(secrets.iter().all(|rule| rule.profiles.is_empty()) && !secrets.is_empty());
        for profile in Profile::ALL {
            let rules = Rules::builtin(Some(profile));
            assert!(secrets.iter().all(|rule| rules.has(&rule.name)), "{profile}");
            assert!(rules.iter().count() > secrets.iter().count(), "{profile}");
        }
    }

    /// Reasons and references change no tree. The actions themselves are tested with every rule.
    #[test]
    fn builtin_rules_are_those_of_their_version() {
        let mut hash = Sha256::new();
        for rule in Rules::all() {
            let (reason, reference, text) = (String::new(), String::new(), String::new());
            hash.update(format!("{:?}\n", Rule { reason, reference, text, ..rule }));
        }
        assert_eq!(
            (crate::normalize::LAYOUT_VERSION, &*hex(&hash.finalize())),
            (1, "ef7ec08948044169e4e2e65ea3957af51ef04fe5ea712649b9af1fa4b2ef39de"),
            "raise the version of the component `rules`, or take the change back"
        );
    }

    #[test]
    fn files_add_replace_and_switch() {
        let own = format!("{RULE}name = \"own\"\n");
        let (none, arch) = (Rules::none(), Rules::builtin(Some(Profile::Arch)));
        assert_eq!(names(&none, &own), ["own"]);
        assert_eq!(names(&none, &format!("disable = [\"own\"]\n{own}")), [""; 0]);
        assert_eq!(names(&none, &format!("{own}profiles = [\"arch\"]\n")), [""; 0]);
        let builtin = names(&arch, "");
        let with = names(&arch, &format!("{own}profiles = [\"arch\"]\n"));
        assert_eq!(with[..builtin.len()], builtin[..]);
        assert_eq!(with[builtin.len()..], ["own"]);
        let without = names(&arch, "disable = [\"logs\"]");
        assert_eq!(without.len(), builtin.len() - 1);
        assert_eq!(names(&none, "enable = [\"hostname\"]"), ["hostname"]);
        assert_eq!(names(&arch, &format!("{RULE}name = \"logs\"\n")), builtin);
        // An enabled rule has the position that it has in the list of all rules.
        let all: Vec<_> = Rules::all().into_iter().map(|rule| rule.name).collect();
        let with = names(&arch, "enable = [\"hostname\", \"apt-lists\"]");
        assert_eq!(with.len(), builtin.len() + 2);
        assert!(with.is_sorted_by_key(|name| all.iter().position(|other| other == name)));
    }

    /// Key packets start with only a few fixed bits.
    #[test]
    fn random_bytes_are_no_private_keys() {
        let is_key = |content: &[u8]| private_keys().iter().any(|sign| sign.is_match(content));
        let packet = b"\x95\x03\x98\x04\x6b\x0c\xde\xed\x01\x08\x00";
        assert!(is_key(packet));
        for number in 0..20_000u32 {
            let mut content = Sha256::digest(number.to_le_bytes());
            for first in [0x94, 0x95, 0x96, 0x9c, 0x9d, 0x9e, 0xc5, 0xc7] {
                content[0] = first;
                assert!(!is_key(&content), "{content:x?}");
            }
        }
    }

    #[test]
    fn secrets_are_watched_unless_a_rule_is_named() {
        let watched = |start: &Rules, text: &str| -> Vec<String> {
            let rules = start.with_file(Path::new("f"), text).unwrap();
            rules.watched().iter().map(|rule| rule.name.clone()).collect()
        };
        let (none, all) = (Rules::none(), names(&Rules::builtin(None), ""));
        assert_eq!(watched(&none, ""), all);
        assert_eq!(watched(&Rules::builtin(None), ""), [""; 0]);
        assert_eq!(watched(&Rules::builtin(None), "disable = [\"tokens\"]"), [""; 0]);
        for text in ["disable = [\"tokens\"]", "enable = [\"tokens\"]"] {
            let rest: Vec<_> = all.iter().filter(|name| *name != "tokens").cloned().collect();
            assert_eq!(watched(&none, text), rest, "{text}");
        }
    }

    /// Patterns that can't match below `/usr` are not tried there, and all others are.
    #[test]
    fn patterns_match_wherever_they_can() {
        let matches = |pattern: &str, more: &str, path: &str| {
            let rule = RULE.replace("\"x\"", &format!("{pattern:?}"));
            let text = format!("{rule}name = \"own\"\n{more}");
            let mut numbers = Vec::new();
            let rules = Rules::none().with_file(Path::new("f"), &text).unwrap();
            rules.matching(path.as_bytes(), &mut numbers);
            numbers == [0]
        };
        for (pattern, path) in [
            ("**/x", "usr/a/x"),
            ("*/x", "usr/x"),
            ("?sr/x", "usr/x"),
            ("[tu]sr/x", "usr/x"),
            ("{etc,usr}/x", "usr/x"),
            ("\\\\usr/x", "usr/x"),
            ("/usr/x", "usr/x"),
            ("nix/*/x", "nix/store/x"),
            ("gnu/store/x", "gnu/store/x"),
            ("etc/x", "etc/x"),
            ("usr", "usr"),
        ] {
            let pattern = pattern.replace("\\\\", "\\");
            assert!(matches(&pattern, "", path), "{pattern}");
            let is_outside = ["etc/x", "usr"].contains(&path);
            assert_eq!(matches(&pattern, "outside-usr = true\n", path), is_outside, "{pattern}");
        }
        assert!(!matches("etc/x", "", "usr/x"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, what) in [
            ("disable = [\"nothing\"]".to_owned(), "unknown rule \"nothing\""),
            (
                "enable = [\"logs\"]\ndisable = [\"logs\"]".to_owned(),
                "\"logs\" is both enabled and disabled",
            ),
            (format!("{}name = \"own\"\n", RULE.replace("\"x\"", "\"a[\"")), "rule \"own\": "),
        ] {
            let error = Rules::none().with_file(Path::new("f"), &text).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
