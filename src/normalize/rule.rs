//! Rules, and the format in which they are written.

use std::path::Path;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::Profile;
use super::rewrite::missing_group;
use crate::error::{Error, Result};

/// A rule: the paths that it applies to, the action, and the reason.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name by which the rule is enabled and disabled.
    pub name: String,
    /// Patterns of paths relative to the root of the tree. A `*` does not match a `/`, a `**` does.
    pub paths: Vec<String>,
    /// Patterns of paths to which the rule does not apply.
    pub except: Vec<String>,
    /// Whether to skip `/usr`, `/nix/store` and `/gnu/store`, whose files came with a distribution.
    pub outside_usr: bool,
    /// Kinds of nodes that the rule applies to.
    pub target: Target,
    /// Action of the rule.
    pub action: Action,
    /// Paths of which the tree must have at least one, if there are any. A systemd unit does not
    /// count if it is masked, or if only a first boot would start it and there will be none.
    pub when: Vec<String>,
    /// Pattern that the content of one of the `when` paths must match, if any.
    pub when_match: Option<Regex>,
    /// Size in bytes of the largest file that the rule applies to. `None` for files of any size.
    pub max_size: Option<u64>,
    /// Whether the rule applies only to files that no package installed, according to the package
    /// databases in the tree.
    pub unpackaged: bool,
    /// Profiles that the rule belongs to. Without any, it applies to every tree.
    pub profiles: Vec<Profile>,
    /// Whether the rule applies by default.
    pub enabled: bool,
    /// Reason for the rule.
    pub reason: String,
    /// Source of the reason.
    pub reference: String,
    /// Text of the rule in a rules file.
    pub text: String,
}

impl Rule {
    /// Returns whether the rule belongs to a profile.
    pub(super) fn is_of(&self, profile: Option<Profile>) -> bool {
        profile.is_some_and(|profile| self.profiles.contains(&profile))
    }
}

/// Kinds of nodes that a rule applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Everything other than directories.
    #[default]
    NoDirectory,
    /// Regular files.
    File,
    /// Directories, along with everything in them.
    Directory,
    /// All nodes.
    Any,
}

/// Action of a rule.
#[derive(Debug, Clone)]
pub enum Action {
    /// Removes the node; a directory is removed with everything below it.
    Remove {
        /// Patterns of which the content must match at least one, if there are any.
        content: Vec<Regex>,
    },
    /// Empties a regular file.
    Truncate,
    /// Sets a modification time after the epoch to the epoch.
    Clamp,
    /// Rewrites the content.
    Rewrite(Rewrite),
    /// Sorts the content.
    Order(Order),
    /// Refuses the tree.
    Refuse {
        /// Patterns of which the content, as earlier rules leave it, must match at least one, if
        /// there are any.
        content: Vec<Regex>,
        /// Remedy to suggest.
        remedy: String,
    },
}

impl Action {
    /// Returns the verb of the action.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Remove { .. } => "remove",
            Self::Truncate => "truncate",
            Self::Clamp => "clamp",
            Self::Rewrite(_) => "rewrite",
            Self::Order(_) => "order",
            Self::Refuse { .. } => "refuse",
        }
    }
}

/// Method of rewriting content.
#[derive(Debug, Clone)]
pub enum Rewrite {
    /// Replaces every match of a regular expression.
    Substitute {
        /// Expression, in which `^` and `$` match at line boundaries.
        pattern: Regex,
        /// Replacement, with `${1}` for a group and `@EPOCH@` for the seconds of the epoch.
        with: String,
    },
    /// Limits the day of the last change in `shadow` to the day of the epoch.
    ShadowDay,
    /// Updates the source time in a compiled Python module to the clamped time of the source.
    Pyc,
    /// Limits the times of the entries of a Java key store to the epoch, and updates its digest.
    Jks,
    /// Updates the time in a stamp of an update of `/etc` or `/var` to that of `/usr`.
    UpdateStamp,
}

/// Sort key of an `order` action. Sorting is stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The whole line.
    Line,
    /// The number in the third field, as in `passwd` and `group`.
    Id,
    /// The number that another file has for the name in the first field, as `passwd` for `shadow`.
    IdIn(String),
    /// Paragraphs of names, each headed by its directory, as written by `ls -R`.
    LsR,
    /// Sections of a menu of info pages.
    InfoDir,
}

/// A rule as it is written in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleText {
    name: String,
    path: OneOrMore,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    outside_usr: bool,
    #[serde(default, rename = "type")]
    target: Target,
    verb: Verb,
    #[serde(default)]
    when: Vec<String>,
    when_match: Option<String>,
    max_size: Option<u64>,
    #[serde(default)]
    unpackaged: bool,
    #[serde(default)]
    profiles: Vec<Profile>,
    #[serde(default = "enabled")]
    enabled: bool,
    reason: String,
    #[serde(default)]
    reference: String,
    #[serde(rename = "match")]
    pattern: Option<OneOrMore>,
    with: Option<String>,
    method: Option<Method>,
    by: Option<By>,
    of: Option<String>,
    remedy: Option<String>,
}

fn enabled() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a pattern, or a list of them")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Vec<String> {
    fn from(patterns: OneOrMore) -> Self {
        match patterns {
            OneOrMore::One(pattern) => vec![pattern],
            OneOrMore::More(patterns) => patterns,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    Remove,
    Truncate,
    Clamp,
    Rewrite,
    Order,
    Refuse,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    ShadowDay,
    Pyc,
    Jks,
    UpdateStamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    Line,
    Id,
    IdIn,
    LsR,
    InfoDir,
}

/// Number of the schema of rules files.
const SCHEMA: u32 = 1;

/// A rules file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    schema: Option<toml::Spanned<u32>>,
    #[serde(default)]
    enable: Vec<String>,
    #[serde(default)]
    disable: Vec<String>,
    #[serde(default)]
    rule: Vec<toml::Spanned<RuleText>>,
}

/// Content of a rules file.
#[derive(Debug, Default)]
pub(super) struct RuleFile {
    /// Names of rules to enable.
    pub(super) enable: Vec<String>,
    /// Names of rules to disable.
    pub(super) disable: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

impl RuleFile {
    /// Parses the text of a file.
    ///
    /// `path` is used in errors.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        let fail = |at: Option<usize>, rule: String| Error::Definition {
            file: path.to_owned(),
            line: at.map_or(0, |at| line(text, at)),
            rule,
            remedy: "see `normalize.rules` for examples".into(),
        };
        let file: File = toml::from_str(text)
            .map_err(|error| fail(error.span().map(|span| span.start), error.message().into()))?;
        if let Some(schema) = file.schema
            && *schema.get_ref() != SCHEMA
        {
            let rule =
                format!("schema {} is unknown, this release reads {SCHEMA}", schema.get_ref());
            return Err(fail(Some(schema.span().start), rule));
        }
        let mut rules: Vec<Rule> = Vec::new();
        let starts = file.rule.iter().map(|typed| typed.span().start);
        let ends: Vec<_> = starts.skip(1).chain([text.len()]).collect();
        for (typed, end) in file.rule.into_iter().zip(ends) {
            let at = typed.span().start;
            let rule = typed.into_inner().into_rule().map_err(|rule| fail(Some(at), rule))?;
            let rule = Rule { text: written(&text[at..end]), ..rule };
            if rules.iter().any(|other| other.name == rule.name) {
                return Err(fail(Some(at), format!("rule {:?} is defined twice", rule.name)));
            }
            rules.push(rule);
        }
        Ok(Self { enable: file.enable, disable: file.disable, rules })
    }
}

/// Returns the text of a rule without the comments and empty lines before the next one.
fn written(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    while lines.last().is_some_and(|line| line.is_empty() || line.starts_with('#')) {
        lines.pop();
    }
    lines.join("\n")
}

/// Returns the number of the line that contains an offset, from 1.
fn line(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count();
    u32::try_from(before + 1).unwrap_or(u32::MAX)
}

fn regex(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern).multi_line(true).unicode(false).build();
    regex.map_err(|error| error.to_string().replace('\n', " "))
}

/// Placeholder in a pattern for the 32 hexadecimal digits of a machine id.
const MACHINE_ID: &str = "<machine-id>";

impl RuleText {
    /// Returns the action, or a description of the mistake.
    fn to_action(&self) -> Result<Action, String> {
        let Self { verb, pattern, with, method, by, of, remedy, .. } = self;
        let fail = |fault: &str| Err(fault.to_owned());
        let plain = pattern.is_none() && with.is_none() && method.is_none();
        let (no_order, no_remedy) = (by.is_none() && of.is_none(), remedy.is_none());
        Ok(match verb {
            Verb::Rewrite if no_order && no_remedy => {
                Action::Rewrite(match (method, pattern, with) {
                    (Some(method), None, None) => match method {
                        Method::ShadowDay => Rewrite::ShadowDay,
                        Method::Pyc => Rewrite::Pyc,
                        Method::Jks => Rewrite::Jks,
                        Method::UpdateStamp => Rewrite::UpdateStamp,
                    },
                    (None, Some(OneOrMore::One(pattern)), Some(with)) => {
                        let pattern = regex(pattern)?;
                        if let Some(name) = missing_group(&pattern, with) {
                            return fail(&format!(
                                "`with` names a group {name:?} that `match` does not have \
                                 (a dollar sign is written $$, and a group ${{1}})"
                            ));
                        }
                        Rewrite::Substitute { pattern, with: with.clone() }
                    }
                    _ => return fail("`rewrite` needs either `match` and `with`, or `method`"),
                })
            }
            Verb::Order if plain && no_remedy => Action::Order(match (by, of) {
                (Some(By::Line), None) => Order::Line,
                (Some(By::Id), None) => Order::Id,
                (Some(By::IdIn), Some(of)) => Order::IdIn(of.clone()),
                (Some(By::LsR), None) => Order::LsR,
                (Some(By::InfoDir), None) => Order::InfoDir,
                _ => return fail("`order` needs `by`, and takes `of` only with `by = \"id-in\"`"),
            }),
            Verb::Refuse | Verb::Remove if with.is_none() && method.is_none() && no_order => {
                let patterns = pattern.clone().map(Vec::from).unwrap_or_default();
                let content =
                    patterns.iter().map(|pattern| regex(pattern)).collect::<Result<_, _>>()?;
                match (verb, remedy) {
                    (Verb::Refuse, Some(remedy)) => {
                        Action::Refuse { content, remedy: remedy.clone() }
                    }
                    (Verb::Refuse, None) => return fail("`refuse` needs a `remedy`"),
                    (_, None) => Action::Remove { content },
                    (_, Some(_)) => return fail("a setting belongs to another verb"),
                }
            }
            Verb::Truncate if plain && no_order && no_remedy => Action::Truncate,
            Verb::Clamp if plain && no_order && no_remedy => Action::Clamp,
            _ => return fail("a setting belongs to another verb"),
        })
    }

    /// Converts the text form to a rule, or returns a description of the mistake.
    fn into_rule(self) -> Result<Rule, String> {
        let name = self.name.clone();
        let fail = |fault: &str| Err(format!("rule {name:?}: {fault}"));
        let action = self.to_action().map_err(|fault| format!("rule {name:?}: {fault}"))?;
        let is_for_files = match &action {
            Action::Truncate | Action::Rewrite(_) | Action::Order(_) => true,
            Action::Remove { content } | Action::Refuse { content, .. } => !content.is_empty(),
            Action::Clamp => false,
        };
        let target = match (is_for_files, self.target) {
            (true, Target::NoDirectory | Target::File) => Target::File,
            (true, _) => return fail("this action is only for regular files"),
            (false, target) => target,
        };
        if self.max_size.is_some() && target != Target::File {
            return fail("`max-size` is only for regular files");
        }
        if self.unpackaged && !matches!(action, Action::Remove { .. } | Action::Refuse { .. }) {
            return fail("`unpackaged` is only for `remove` and `refuse`");
        }
        let when_match = match self.when_match.as_deref().map(regex).transpose() {
            Ok(_) if self.when_match.is_some() && self.when.is_empty() => {
                return fail("`when-match` needs `when`");
            }
            Ok(when_match) => when_match,
            Err(error) => return fail(&error),
        };
        let paths = Vec::from(self.path);
        let goes_nowhere = |path: &String| {
            path.split('/').all(str::is_empty) || path.split('/').any(|name| name == "..")
        };
        if paths.is_empty() || paths.iter().any(goes_nowhere) {
            return fail("`path` must be a path from the root of the tree");
        }
        let expand = |patterns: Vec<String>| -> Vec<String> {
            let digits = "[0-9a-f]".repeat(32);
            patterns.iter().map(|pattern| pattern.replace(MACHINE_ID, &digits)).collect()
        };
        Ok(Rule {
            name,
            paths: expand(paths),
            except: expand(self.except),
            outside_usr: self.outside_usr,
            target,
            action,
            when: self.when,
            when_match,
            max_size: self.max_size,
            unpackaged: self.unpackaged,
            profiles: self.profiles,
            enabled: self.enabled,
            reason: self.reason,
            reference: self.reference,
            text: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RuleFile> {
        RuleFile::parse(Path::new("rules.toml"), text)
    }

    #[cfg(feature = "cli")]
    #[test]
    fn every_key_is_in_the_manual() {
        use crate::man_page::{fields, keys};

        assert_eq!(keys("detfs-rules.5", "KEYS OF THE FILE"), fields::<File>("x = 1"));
        let rule = fields::<File>("[[rule]]\nx = 1\n");
        assert_eq!(keys("detfs-rules.5", "KEYS OF A RULE"), rule);
    }

    #[test]
    fn rules_are_read() {
        let file = parse(
            r#"schema = 1
            disable = ["a"]
            [[rule]]
            name = "x"
            path = "var/<machine-id>/*"
            verb = "rewrite"
            match = "^a=.*$"
            with = "a=@EPOCH@"
            profiles = ["arch"]
            reason = "why"
            "#,
        )
        .unwrap();
        assert_eq!(file.disable, ["a"]);
        let rule = &file.rules[0];
        assert_eq!(rule.paths, [format!("var/{}/*", "[0-9a-f]".repeat(32))]);
        assert_eq!((rule.action.verb(), rule.target), ("rewrite", Target::File));
        assert!(rule.enabled);
        let text = "# a\n[[rule]]\nname = \"x\"\npath = [\n  # in\n  \"a\",\n]\nverb = \"clamp\"\nreason = \"\"\n\n# b\n";
        let rules = parse(&format!("{text}{}", text.replace('x', "y"))).unwrap().rules;
        let expected = text.trim_start_matches("# a\n").trim_end_matches("\n\n# b\n");
        assert_eq!(rules[0].text, expected);
        assert_eq!(rules[1].text, expected.replace('x', "y"));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let start = "[[rule]]\nname = \"x\"\npath = \"a\"\nreason = \"b\"\n";
        for (rest, line, what) in [
            ("verb = \"forget\"", 5, "unknown variant `forget`"),
            ("verb = \"remove\"\nwith = \"x\"", 1, "a setting belongs to another verb"),
            ("verb = \"rewrite\"\nmatch = \"x\"", 1, "either `match` and `with`, or `method`"),
            ("verb = \"rewrite\"\nmatch = \"(\"\nwith = \"\"", 1, "unclosed group"),
            ("verb = \"order\"\nby = \"id\"\nof = \"a\"", 1, "`order` needs `by`"),
            ("verb = \"rewrite\"\nmatch = \"x\"\nwith = \"$6$x\"", 1, "a group \"6\""),
            ("verb = \"refuse\"", 1, "needs a `remedy`"),
            (
                "verb = \"refuse\"\nremedy = \"x\"\nby = \"id\"",
                1,
                "a setting belongs to another verb",
            ),
            ("verb = \"remove\"\nremedy = \"x\"", 1, "a setting belongs to another verb"),
            ("verb = \"clamp\"\nwhen-match = \"x\"", 1, "`when-match` needs `when`"),
            ("verb = \"clamp\"\nwhen = [\"y\"]\nwhen-match = \"(\"", 1, "unclosed group"),
            ("verb = \"truncate\"\ntype = \"directory\"", 1, "only for regular files"),
            ("verb = \"remove\"\nmax-size = 5", 1, "`max-size` is only for regular files"),
            ("verb = \"truncate\"\nunpackaged = true", 1, "for `remove` and `refuse`"),
            ("verb = \"remove\"\ncolour = 1", 6, "unknown field `colour`"),
            (
                "verb = \"remove\"\n[[rule]]\nname = \"x\"\npath = \"a\"\nreason = \"\"\nverb = \"remove\"",
                6,
                "twice",
            ),
            ("verb = ", 5, ""),
            ("verb = \"remove\"\n[[rule]]\npath = 5", 7, "a pattern, or a list of them"),
            (
                "verb = \"remove\"\n[[rule]]\nname = \"y\"\npath = []\nreason = \"\"\nverb = \"remove\"",
                6,
                "from the root",
            ),
            (
                "verb = \"remove\"\n[[rule]]\nname = \"y\"\npath = \"../x\"\nreason = \"\"\nverb = \"remove\"",
                6,
                "from the root",
            ),
        ] {
            let error = parse(&format!("{start}{rest}")).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("rules.toml:{line}: ")), "{rest}: {text}");
            assert!(text.contains(what), "{rest}: {text}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = parse("# A\nschema = 2\n").unwrap_err().to_string();
        assert!(error.starts_with("rules.toml:2: schema 2 is unknown, "), "{error}");
    }
}
