//! `detfs build`: builds an image from a tree or from packages, as described in a file.

use std::any::TypeId;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, CommandFactory, Parser};
use serde::Deserialize;
use toml::{Table, Value};

use super::arguments::{self, Arguments, Build, Command, StageCommand};
use super::mkimage::MkimageJob;
use super::{is_same, one_line, stage, text};
use crate::error::{Error, Result};
use crate::name::HostPath;
use crate::stage::Scratch;

/// Number of the schema of configuration files.
const SCHEMA: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BuildFile {
    schema: Option<u32>,
    source_date_epoch: Option<Value>,
    seed: Option<Value>,
    seed_string: Option<Value>,
    stage: Option<Table>,
    image: Table,
}

/// Options that a table can't have, each with the reason.
const ELSEWHERE: [(&str, &str); 10] = [
    ("seed", "must come before the tables"),
    ("seed-string", "must come before the tables"),
    ("source-date-epoch", "must come before the tables"),
    ("force", "is an option of `detfs build`"),
    ("no-sync", "is an option of `detfs build`"),
    ("json", "is an option of `detfs build`"),
    ("dry-run", "is an option of `detfs build`"),
    ("quiet", "is an option of `detfs build`"),
    ("verbose", "is an option of `detfs build`"),
    ("output", "is called `out`"),
];

pub(super) fn run(args: &Build) -> Result<()> {
    let BuildFile { schema, source_date_epoch, seed, seed_string, stage, mut image } =
        read(&args.config)?;
    let words = ArgumentList { config: &args.config };
    if let Some(schema) = schema.filter(|&schema| schema != SCHEMA) {
        return Err(words.fault(format!("schema {schema} is unknown, this release reads {SCHEMA}")));
    }
    if args.update && stage.as_ref().is_none_or(|stage| !stage.contains_key("lock")) {
        return Err(words.fault("--update: [stage] has no `lock` to replace".into()));
    }
    for table in [&image].into_iter().chain(&stage) {
        if let Some((key, place)) = ELSEWHERE.iter().find(|(key, _)| table.contains_key(*key)) {
            return Err(words.fault(format!("`{key}` {place}")));
        }
    }

    let source_date_epoch = match (&args.source_date_epoch, source_date_epoch) {
        (Some(_), Some(_)) => {
            return Err(Error::parameter(
                "--source-date-epoch",
                format!("{} sets `source-date-epoch` too", HostPath(&args.config)),
                "omit one of them",
            ));
        }
        (Some(text), None) => Some(text.clone().into()),
        (None, value) => value,
    };
    let out = image.remove("out").ok_or_else(|| words.fault("[image] has no `out`".into()))?;
    let out = words.path(&out)?;
    let tree = match (image.remove("tree"), &stage) {
        (Some(tree), None) => Some(words.path(&tree)?),
        (None, Some(_)) => None,
        _ => return Err(words.fault("needs either [stage] or `tree` in [image]".into())),
    };
    let scratch = match &tree {
        Some(_) => None,
        // A tree can't be stored beside a device or another special file.
        None if fs::metadata(&out).is_ok_and(|metadata| !metadata.is_file()) => {
            Some(Scratch::beside(&args.config, "build")?)
        }
        None => Some(Scratch::beside(&out, "build")?),
    };
    let staged = scratch.as_ref().map(|scratch| scratch.join("root"));
    let tree = tree.or_else(|| staged.clone()).expect("there is one or the other");
    let given = |table: &mut Table, key: &str, value: Option<Value>| {
        value.map(|value| table.insert(key.into(), value));
    };
    let stage = match (stage, staged) {
        (Some(mut stage), Some(out)) => {
            given(&mut stage, "source-date-epoch", source_date_epoch.clone());
            let is_locked = !args.update && words.is_locked(&stage)?;
            given(&mut stage, "locked", Some(is_locked.into()));
            Some(words.parse(&["stage", "pacman"], &stage, &[out.into()])?)
        }
        _ => None,
    };
    let stage = stage.as_ref().and_then(|command| match command {
        Command::Stage(arguments::Stage { command: StageCommand::Pacman(args) }) => Some(args),
        _ => None,
    });
    // The image has the epoch of its packages, wherever that comes from.
    let epoch = match (source_date_epoch, stage) {
        (None, Some(args)) => Some(stage::epoch(args)?.into()),
        (epoch, _) => epoch,
    };
    given(&mut image, "source-date-epoch", epoch);
    given(&mut image, "seed", seed);
    given(&mut image, "seed-string", seed_string);
    given(&mut image, "force", Some(args.force.into()));
    given(&mut image, "no-sync", Some(args.no_sync.into()));
    given(&mut image, "json", Some(args.json.into()));
    given(&mut image, "dry-run", Some(args.dry_run.into()));
    given(&mut image, "strict", args.strict.then_some(true.into()));
    given(&mut image, "quiet", Some(args.verbosity.quiet.into()));
    given(&mut image, "verbose", Some(args.verbosity.verbose.into()));
    let lock = stage.and_then(|args| args.lock.as_ref());
    let manifest = image.get("manifest").map(|path| words.path(path)).transpose()?;
    words.differ(&[("`out`", Some(&out)), ("`manifest`", manifest.as_ref()), ("`lock`", lock)])?;
    let image = words.parse(&["mkimage"], &image, &[tree.into(), out.into()])?;
    let Command::Mkimage(args) = image else { unreachable!("it was parsed as such") };
    let job = MkimageJob::new(&args)?;
    stage.map_or(Ok(()), |stage| stage::pacman(stage, args.output_args.verbosity.quiet))?;
    job.run()
}

/// Returns whether a file has a `[stage]` table; false if the file can't be read, which is reported
/// later.
pub(super) fn stages(config: &Path) -> bool {
    read(config).is_ok_and(|build_file| build_file.stage.is_some())
}

fn read(config: &Path) -> Result<BuildFile> {
    let fail = |line: usize, rule: String| Error::Definition {
        file: config.to_owned(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        rule,
        remedy: "see `detfs build --help`".into(),
    };
    if config.exists() && !config.is_file() {
        // Without root, the file is read again in a user namespace, so it can't be a pipe.
        return Err(fail(0, "not a regular file".into()));
    }
    let text = text(config).map_err(|error| match error.raw_os_error() {
        Some(_) => Error::source(config.as_os_str().as_encoded_bytes(), "cannot read", error),
        None => fail(0, error.to_string()),
    })?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        fail(line, error.message().into())
    })
}

/// Converts a table to command-line arguments, so that there is only one parser.
struct ArgumentList<'a> {
    config: &'a Path,
}

impl ArgumentList<'_> {
    fn fault(&self, rule: String) -> Error {
        Error::Definition {
            file: self.config.to_owned(),
            line: 0,
            rule,
            remedy: "see `detfs build --help`".into(),
        }
    }

    /// Returns a path relative to the directory of the configuration.
    fn path(&self, value: &Value) -> Result<PathBuf> {
        match value.as_str() {
            Some("") => Err(self.fault("a path is empty".into())),
            Some("-") => Ok("-".into()),
            Some(path) => {
                let directory = self.config.parent().unwrap_or(Path::new(""));
                Ok(directory.join(path))
            }
            None => Err(self.fault(format!("{value} is not a path"))),
        }
    }

    /// Checks that the output files differ from each other and from the configuration.
    fn differ(&self, written: &[(&str, Option<&PathBuf>)]) -> Result<()> {
        let mut files: Vec<(&str, &Path)> = vec![("the configuration", self.config)];
        for &(name, path) in written {
            let Some(path) = path.filter(|path| *path != Path::new("-")) else { continue };
            for (other, file) in &files {
                if is_same(file, path)? {
                    return Err(self.fault(format!("{name} is {other}")));
                }
            }
            files.push((name, path));
        }
        Ok(())
    }

    /// Returns whether the tree is built from the lock.
    fn is_locked(&self, stage: &Table) -> Result<bool> {
        let lock = stage.get("lock").map(|lock| self.path(lock)).transpose()?;
        // An empty file, such as one created by mktemp, is not a lock yet.
        let there = match lock.map(fs::metadata).transpose() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(self.fault(format!("cannot access the lock: {error}"))),
            Ok(found) => found.is_some_and(|found| found.len() > 0),
        };
        match stage.get("locked") {
            Some(Value::Boolean(true)) => Ok(true),
            None | Some(Value::Boolean(false)) => Ok(there),
            Some(other) => Err(self.fault(format!("`locked` can't be {}", other.type_str()))),
        }
    }

    fn parse(&self, subcommand: &[&str], table: &Table, last: &[OsString]) -> Result<Command> {
        let mut words: Vec<OsString> = vec!["detfs".into()];
        words.extend(subcommand.iter().map(OsString::from));
        for (key, value) in table {
            self.option(subcommand, key, value, &mut words)?;
        }
        words.push("--".into());
        words.extend_from_slice(last);
        let parsed = Arguments::try_parse_from(words).map_err(|error| {
            let table = subcommand.last().expect("there is a name");
            self.fault(format!("invalid options of {table}: {}", one_line(&error)))
        })?;
        Ok(parsed.command)
    }

    fn option(
        &self,
        subcommand: &[&str],
        key: &str,
        value: &Value,
        words: &mut Vec<OsString>,
    ) -> Result<()> {
        let Some(argument) = argument(subcommand, key) else {
            let table = subcommand.last().expect("there is a name");
            return Err(self.fault(format!("{table} has no option --{key}")));
        };
        let text = match value {
            Value::Boolean(on) if !argument.get_action().takes_values() => {
                words.extend(on.then(|| format!("--{key}").into()));
                return Ok(());
            }
            Value::Array(values) if matches!(argument.get_action(), ArgAction::Append) => {
                return values
                    .iter()
                    .try_for_each(|value| self.option(subcommand, key, value, words));
            }
            Value::String(text) if is_path(&argument) => {
                self.path(&Value::String(text.clone()))?.into_os_string()
            }
            Value::String(text) => text.into(),
            // TOML has dates and times of its own.
            Value::Datetime(time) if !is_path(&argument) => time.to_string().into(),
            Value::Integer(number) if !is_path(&argument) => number.to_string().into(),
            other => return Err(self.fault(format!("`{key}` can't be {}", other.type_str()))),
        };
        let mut word = OsString::from(format!("--{key}="));
        word.push(text);
        words.push(word);
        Ok(())
    }
}

/// Returns the option with a long name.
fn argument(subcommand: &[&str], key: &str) -> Option<Arg> {
    let mut command = Arguments::command();
    for name in subcommand {
        command = command.find_subcommand(name)?.clone();
    }
    command.get_arguments().find(|option| option.get_long() == Some(key)).cloned()
}

/// Returns whether an option takes a path.
fn is_path(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::man_page::{fields, keys};

    /// Returns the long options of a subcommand that a table can have.
    fn options(subcommand: &[&str]) -> BTreeSet<String> {
        let mut command = Arguments::command();
        for name in subcommand {
            command = command.find_subcommand(name).unwrap().clone();
        }
        let names = command.get_arguments().filter_map(|option| option.get_long());
        let is_elsewhere = |name: &&str| ELSEWHERE.iter().any(|(other, _)| other == name);
        names.filter(|name| !is_elsewhere(name)).map(str::to_owned).collect()
    }

    #[test]
    fn every_key_is_in_the_manual() {
        const PAGE: &str = "detfs-image.toml.5";
        let mut top = fields::<BuildFile>("x = 1");
        assert!(top.remove("stage") && top.remove("image"));
        assert_eq!(keys(PAGE, "KEYS BEFORE THE TABLES"), top);
        assert_eq!(keys(PAGE, "KEYS OF [STAGE]"), options(&["stage", "pacman"]));
        let mut image = options(&["mkimage"]);
        image.extend(["out", "tree"].map(str::to_owned));
        assert_eq!(keys(PAGE, "KEYS OF [IMAGE]"), image);
    }

    #[test]
    fn tables_are_options() {
        let words = ArgumentList { config: Path::new("dir/image.toml") };
        let table: Table = toml::from_str(
            "manifest = \"m.json\"\nfs = \"btrfs\"\nexclude = [\"a\", \"b\"]\nbios-boot = true\n\
             dedup = false\nesp-size = \"64M\"\nheadroom = 5\nrules = \"/r\"\n",
        )
        .unwrap();
        let last = ["tree".into(), "out".into()];
        let Command::Mkimage(args) = words.parse(&["mkimage"], &table, &last).unwrap() else {
            panic!("another command")
        };
        assert_eq!(args.output_args.manifest.as_deref(), Some(Path::new("dir/m.json")));
        assert_eq!(args.normalize_args.rules.as_deref(), Some(Path::new("/r")));
        assert_eq!(args.source.exclude, ["a", "b"]);
        assert!(args.bios_boot && !args.btrfs.dedup);
        assert_eq!(args.root_fs.headroom.as_deref(), Some("5"));
        for (text, part) in [
            ("colour = 1", "--colour"),
            ("fs = \"zfs\"", "zfs"),
            ("headroom = 1.5", "can't be float"),
            ("headroom = false", "can't be boolean"),
            ("headroom = []", "can't be array"),
            ("rules = 5", "can't be integer"),
            ("colour = false", "--colour"),
            ("colour = []", "--colour"),
            ("force = \"yes\"", "force"),
        ] {
            let table = toml::from_str(text).unwrap();
            let error = words.parse(&["mkimage"], &table, &last).unwrap_err();
            assert!(error.to_string().starts_with("dir/image.toml: "), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
