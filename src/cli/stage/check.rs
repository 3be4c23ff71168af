//! `detfs stage check`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use super::pacman::options;
use crate::cli::arguments::{PackagesArgs, StageCheck};
use crate::cli::fields::FLAGS;
use crate::cli::normalize::RequestedRules;
use crate::cli::{print, print_json, print_warning, spool, values};
use crate::disk::BuildInput;
use crate::error::{Error, Result};
use crate::interrupt::{register, uninterrupted};
use crate::name::{Escaped, HostPath};
use crate::normalize::normalize;
use crate::stage::{Difference, Options, compare, ended_by, remove_directory, spawn};
use crate::time::Timestamp;
use crate::tree::dir::{self, DirOptions};

/// Offset of the second clock from the first.
const OFFSET: &str = "+400d";

/// Script that simulates another host: another host name, umask and directory, and one processor.
const SKEW: &str = r#"
hostname another-host 2>/dev/null || echo another-host >/proc/sys/kernel/hostname
umask 077
cd "$1"
shift
cpus=$(taskset -cp $$)
cpus=${cpus##*: }
exec taskset -c "${cpus%%[-,]*}" "$@"
"#;

pub(super) fn run(args: &StageCheck) -> Result<ExitCode> {
    // Invalid options are reported once, before anything is created.
    let options = options(&args.packages)?;
    let requested = RequestedRules::read(&args.normalize_args)?;
    let made = |error| Error::output("cannot create a directory for the two trees", error);
    let (scratch, _registration) = uninterrupted(|| {
        let scratch = tempfile::tempdir_in(spool()).map_err(made)?;
        let path = scratch.path().to_owned();
        Result::Ok((scratch, register(move || remove_directory(&path))))
    })?;
    let elsewhere = scratch.path().join("a directory with a longer name");
    fs::create_dir(&elsewhere).map_err(made)?;
    let program = std::env::current_exe();
    let program = program.map_err(|error| Error::output("cannot find this program", error))?;
    let cache = args.packages.cache.clone().unwrap_or_else(|| scratch.path().join("cache"));
    let stage = StageCommand { args: &args.packages, options: &options, cache: absolute(&cache)? };

    let one = scratch.path().join("tree");
    stage.run(ended_by("TERM").arg(&program), &one, false)?;
    let has_faketime = has_faketime()?;
    if !has_faketime {
        print_warning(
            &"faketime is not installed: the clocks of the two trees are only seconds apart",
        );
        // Recorded times are whole seconds.
        std::thread::sleep(Duration::from_millis(1100));
    }
    let two = elsewhere.join("tree");
    let mut skewed = ended_by("TERM");
    skewed.args(["unshare", "--uts", "--", "sh", "-euc", SKEW, "sh"]).arg(&elsewhere).arg(&program);
    stage.run(&mut skewed, &two, has_faketime)?;

    let threads = values::threads(None)?;
    let read = |path: &Path| dir::read(path, &DirOptions { threads, ..DirOptions::default() });
    let ((one, _), (two, _)) = (read(&one)?, read(&two)?);
    let BuildInput { tree: mut one, rules, warnings, .. } =
        requested.apply(BuildInput::new(one))?;
    warnings.iter().for_each(|warning| print_warning(&FLAGS.text(&warning.to_string())));
    let epoch = Timestamp::from_seconds(options.source_date_epoch);
    let found = compare(&one, &two, &rules, epoch)?;
    report(&found, args.json)?;
    // A tree that can't be normalized is an error, whatever the differences.
    normalize(&mut one, &rules, epoch)?;
    let is_open = found.iter().any(|difference| difference.covered_by.is_empty());
    Ok(if is_open { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::output(format!("cannot find {}", HostPath(path)), error))
}

fn has_faketime() -> Result<bool> {
    let mut command = Command::new("faketime");
    let command = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::Tool {
            tool: "faketime",
            doing: "be started".into(),
            said: error.to_string(),
            remedy: "repair faketime, or remove it to compare without shifting the clock",
        }),
    }
}

/// A run of `detfs stage pacman`.
struct StageCommand<'a> {
    args: &'a PackagesArgs,
    options: &'a Options,
    cache: PathBuf,
}

impl StageCommand<'_> {
    /// Appends the arguments to a command that ends in the path of this program, and runs it.
    fn run(&self, command: &mut Command, out: &Path, skew_clock: bool) -> Result<()> {
        let Self { args, options, cache } = self;
        command.args(["stage", "pacman"]).arg(out).arg("--cache").arg(cache);
        command.args(options.packages.iter().map(|name| format!("--package={name}")));
        command.arg(format!("--source-date-epoch={}", options.source_date_epoch));
        match (&args.pacman_conf, &options.mirror) {
            (Some(path), _) => command.arg("--pacman-conf").arg(absolute(path)?),
            (None, mirror) => command
                .args(mirror.iter().map(|mirror| format!("--mirror={mirror}")))
                .args(options.repositories.iter().map(|name| format!("--repo={name}")))
                .args(options.architecture.iter().map(|name| format!("--architecture={name}"))),
        };
        if skew_clock {
            command.arg(format!("--clock-offset={OFFSET}"));
        }
        let spawned = spawn(command.stdin(Stdio::null()), Signal::TERM);
        let status = spawned.and_then(|(mut child, _registration)| child.wait());
        match status.map_err(|error| Error::output("cannot start this program", error))? {
            status if status.success() => Ok(()),
            status => Err(Error::Tool {
                tool: "detfs stage pacman",
                doing: "make a tree".into(),
                said: status.to_string(),
                remedy: "see its messages above",
            }),
        }
    }
}

/// Number of the schema of the record.
const SCHEMA: u32 = 1;

/// JSON record of a comparison.
#[derive(Serialize)]
struct CheckRecord<'a> {
    schema: u32,
    differences: Vec<DifferenceRecord<'a>>,
}

/// JSON record of a difference.
#[derive(Serialize)]
struct DifferenceRecord<'a> {
    path: String,
    what: &'a [&'static str],
    covered_by: &'a [String],
    would_be_covered_by: &'a [String],
}

fn report(found: &[Difference], json: bool) -> Result<()> {
    let differences: Vec<_> = found
        .iter()
        .map(|Difference { path, what, covered_by, would_be_covered_by }| DifferenceRecord {
            path: Escaped(path).to_string(),
            what,
            covered_by,
            would_be_covered_by,
        })
        .collect();
    if json {
        return print_json(&CheckRecord { schema: SCHEMA, differences });
    }
    let mut text = String::new();
    for DifferenceRecord { path, what, covered_by, would_be_covered_by } in &differences {
        let by = match (covered_by, would_be_covered_by) {
            ([], []) => "NO RULE".into(),
            ([], off) => format!("NO RULE, but {} would, if enabled", off.join(", ")),
            (rules, _) => rules.join(", "),
        };
        text += &format!("{path}: {}: {by}\n", what.join(", "));
    }
    let open = found.iter().filter(|difference| difference.covered_by.is_empty()).count();
    text += &format!("{} paths differ, {open} of them in an image too\n", found.len());
    print(&text)
}
