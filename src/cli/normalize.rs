//! `detfs normalize`, and the normalization that other subcommands share.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::arguments::{self, Normalize};
use super::fields::FLAGS;
use super::source::source;
use super::{print, print_json, print_warning, text_of, values};
use crate::disk::source::epoch;
use crate::disk::{BuildInput, Selection, ValueOrigin};
use crate::error::{Error, Result};
use crate::name::{Escaped, HostPath};
use crate::normalize::{
    Finding, Fired, FiredRecord, Profile, Report, Rule, Rules, Scope, check, findings,
    remaining_secrets,
};
use crate::report::Warning;
use crate::size::count;

/// The arguments about rules, parsed as far as possible without a tree. A file is only read once,
/// because it may be a pipe.
#[derive(Debug)]
pub(super) struct RequestedRules<'a> {
    args: &'a arguments::NormalizeArgs,
    /// The profile, if it is named explicitly.
    profile: Option<Profile>,
    file: Option<(&'a Path, String)>,
}

const AUTO: &str = "auto";
const NONE: &str = "none";

impl<'a> RequestedRules<'a> {
    pub(super) fn read(args: &'a arguments::NormalizeArgs) -> Result<Self> {
        let profile = match &*args.normalize {
            AUTO | NONE => None,
            name => Some(name.parse()?),
        };
        let file = match &args.rules {
            None => None,
            Some(path) => {
                let text = text_of("--rules", path, "give a readable file of rules, or a pipe")?;
                Some((&**path, text))
            }
        };
        let requested = Self { args, profile, file };
        if requested.file.is_some() {
            requested.rules(profile)?;
        }
        Ok(requested)
    }

    /// Adds the rules to an input, and reports built-in rules that the file replaces.
    pub(super) fn apply(&self, input: BuildInput) -> Result<BuildInput> {
        let (input, profile) = match &*self.args.normalize {
            AUTO => {
                let input = input.normalized()?;
                let profile = input.rules.profile();
                (input, profile)
            }
            _ => (input, self.profile),
        };
        let rules = self.rules(profile)?;
        if let Some((path, _)) = &self.file {
            for name in rules.replaced() {
                print_warning(&format_args!(
                    "{}: rule {name:?} replaces the built-in rule of that name",
                    HostPath(path)
                ));
            }
        }
        Ok(BuildInput { rules, ..input })
    }

    /// Returns the warning about paths that may differ between two installations although no rule
    /// covers them; with `is_strict`, it is an error. Without rules, nothing is to be covered.
    pub(super) fn check(input: &BuildInput, is_strict: bool) -> Result<Option<Warning>> {
        if input.rules.is_empty() && !is_strict {
            return Ok(None);
        }
        let (epoch, _) = epoch(&input.tree, input.epoch)?;
        let found = findings(&input.tree, &input.rules, epoch, Scope::Differences)?;
        let Some(Finding { path, why }) = found.first() else { return Ok(None) };
        let paths = match found.len() {
            1 => "1 path looks".to_owned(),
            number => format!("{number} paths look"),
        };
        if is_strict {
            return Err(Error::Refused {
                path: path.clone(),
                rule: format!("{why}; {paths} like something of this host, which --strict refuses"),
                remedy: "list them with `detfs normalize --check`, and cover each with a rule or \
                         exclude it"
                    .into(),
            });
        }
        let first = Escaped(path);
        Ok(Some(Warning {
            path: Vec::new(),
            message: format!(
                "{paths} like something of this host ({first}: {why}); list them with `detfs \
                 normalize --check` and the same epoch and rules"
            ),
        }))
    }

    /// Returns the rules of a profile together with those of the file.
    fn rules(&self, profile: Option<Profile>) -> Result<Rules> {
        let rules = match &*self.args.normalize {
            NONE => Rules::none(),
            _ => Rules::builtin(profile),
        };
        match &self.file {
            Some((path, text)) => rules.with_file(path, text),
            None => Ok(rules),
        }
    }
}

pub(super) fn run(args: &Normalize) -> Result<ExitCode> {
    match &args.check {
        Some(tree) => run_check(args, tree),
        None => list(args),
    }
}

/// Number of the schema of both records.
const SCHEMA: u32 = 1;

/// JSON record of a list of rules.
#[derive(Serialize)]
struct ListRecord<'a> {
    schema: u32,
    rules: Vec<RuleRecord<'a>>,
}

/// JSON record of a rule.
#[derive(Serialize)]
struct RuleRecord<'a> {
    name: &'a str,
    verb: &'static str,
    path: &'a [String],
    profiles: &'a [Profile],
    enabled: bool,
    reason: &'a str,
    reference: &'a str,
}

impl<'a> From<&'a Rule> for RuleRecord<'a> {
    fn from(rule: &'a Rule) -> Self {
        Self {
            name: &rule.name,
            verb: rule.action.verb(),
            path: &rule.paths,
            profiles: &rule.profiles,
            enabled: rule.enabled,
            reason: &rule.reason,
            reference: &rule.reference,
        }
    }
}

/// Lists all built-in rules, or those of a profile together with those of a file.
fn list(args: &Normalize) -> Result<ExitCode> {
    let requested = RequestedRules::read(&args.normalize_args)?;
    let rules: Vec<Rule> = match (&requested.file, requested.profile) {
        (None, None) => Rules::all(),
        (_, profile) => requested.rules(profile)?.iter().cloned().collect(),
    };
    if args.json {
        print_json(&ListRecord { schema: SCHEMA, rules: rules.iter().map(Into::into).collect() })?;
    } else {
        // The output is a file of rules, which can be edited and passed to --rules.
        let texts: Vec<_> = rules.iter().map(|rule| format!("{}\n", rule.text)).collect();
        print(&texts.join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// JSON record of a check.
#[derive(Serialize)]
struct CheckRecord<'a> {
    schema: u32,
    profile: Option<Profile>,
    source_date_epoch: i64,
    /// Whether the epoch was given or is the newest time in the tree.
    source_date_epoch_from: &'static str,
    fired: Vec<FiredRecord>,
    suspicions: Vec<FindingRecord<'a>>,
}

#[derive(Serialize)]
struct FindingRecord<'a> {
    path: String,
    why: &'a str,
}

/// Number of findings printed for each reason. Installed packages can cause thousands.
const FINDINGS_SHOWN: usize = 10;

fn run_check(args: &Normalize, path: &Path) -> Result<ExitCode> {
    let given = values::epoch(args.source_date_epoch.as_deref())?;
    let requested = RequestedRules::read(&args.normalize_args)?;
    let threads = values::threads(None)?;
    let input = BuildInput::read(&*source(path)?, Selection::default(), threads, None)?;
    let BuildInput { tree, rules, warnings, .. } = requested.apply(input)?;
    warnings.iter().for_each(|warning| print_warning(&FLAGS.text(&warning.to_string())));
    let (epoch, origin) = epoch(&tree, given)?;
    let report = check(&tree, &rules, epoch)?;
    remaining_secrets(&tree, &rules, epoch)?.iter().for_each(|warning| print_warning(warning));
    let suspicious = findings(&tree, &rules, epoch, Scope::All)?;
    let fires = !report.fired.is_empty();
    if args.json {
        print_json(&CheckRecord {
            schema: SCHEMA,
            profile: rules.profile(),
            source_date_epoch: epoch.seconds,
            source_date_epoch_from: match origin {
                ValueOrigin::Given => "given",
                ValueOrigin::Tree => "tree",
            },
            fired: report.fired.iter().map(Into::into).collect(),
            suspicions: suspicious
                .iter()
                .map(|Finding { path, why }| FindingRecord { path: Escaped(path).to_string(), why })
                .collect(),
        })?;
    } else {
        let mut text = String::new();
        for Fired { rule, verb, reason, remedy, paths, .. } in &report.fired {
            let remedy = remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
            add(&mut text, format_args!("{verb} by {rule}: {reason}{remedy}"));
            paths.iter().for_each(|path| add(&mut text, format_args!("    {}", Escaped(path))));
        }
        let mut groups: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
        for Finding { path, why } in &suspicious {
            groups.entry(why).or_default().push(path);
        }
        for (why, paths) in groups {
            add(&mut text, format_args!("suspicious: {why}"));
            for path in paths.iter().take(FINDINGS_SHOWN) {
                add(&mut text, format_args!("    {}", Escaped(path)));
            }
            if let Some(more) = paths.len().checked_sub(FINDINGS_SHOWN).filter(|&more| more > 0) {
                add(&mut text, format_args!("    and {more} more, which --json lists"));
            }
        }
        let profile = rules.profile().map_or("none", Profile::name);
        add(
            &mut text,
            format_args!(
                "profile {profile}, source date epoch {}: {} would apply to {}, {} found \
                 suspicious",
                epoch.seconds,
                count(report.fired.len() as u64, "rule"),
                count(report.count() as u64, "path"),
                count(suspicious.len() as u64, "path")
            ),
        );
        print(&text)?;
    }
    Ok(if fires { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Returns a line for each rule that fired, with the first paths.
pub(super) fn lines(report: &Report, epoch: ValueOrigin) -> Vec<String> {
    let mut lines: Vec<_> = report
        .fired
        .iter()
        .map(|Fired { rule, verb, paths, .. }| {
            // More paths are listed for removed files, such as the keys of a server, than for
            // rewritten files.
            let limit = if *verb == "remove" { 8 } else { 3 };
            let shown: Vec<_> =
                paths.iter().take(limit).map(|path| Escaped(path).to_string()).collect();
            let more = match paths.len().saturating_sub(limit) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("normalized: {verb} by {rule}: {}{more}", shown.join(", "))
        })
        .collect();
    if epoch == ValueOrigin::Tree && report.fired.iter().any(|fired| fired.by_epoch) {
        lines.push(
            "normalized: the epoch is the newest time in the tree; give --source-date-epoch to get \
             the same image from another installation"
                .into(),
        );
    }
    lines
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes everything");
}
