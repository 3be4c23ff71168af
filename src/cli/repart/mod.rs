//! `detfs repart`, which is also the program called `systemd-repart`.

mod arguments;
mod environment;
mod fields;
mod format_row;
mod json;
mod mkfs_options;
mod table;
mod to_options;

use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

pub(super) use arguments::Repart;
use environment::Environment;
pub(super) use fields::FLAGS;
use json::Json;

use super::terminal::{print, print_json_lines, print_notice, print_warning};
use super::{fail, spool};
use crate::disk::Identity;
use crate::error::{Error, Result};
use crate::name::HostPath;
use crate::repart::config::{self, Context};
use crate::repart::{self, Definition, Options, Outcome};
use crate::report::Warning;
use crate::seed::Seed;

/// Returns whether the program was called as systemd-repart.
pub(super) fn is_called(arguments: &[OsString]) -> bool {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    name.is_some_and(|name| name == NAME)
}

/// The version of systemd whose systemd-repart is emulated.
pub(super) const SYSTEMD_VERSION: &str = "262";

/// The name under which the program only takes systemd-repart's arguments.
const NAME: &str = "systemd-repart";

/// The program under that name.
#[derive(Debug, Parser)]
#[command(name = NAME, max_term_width = 100)]
struct Program {
    #[command(flatten)]
    repart: Repart,
}

/// Runs the subcommand, and returns the exit code of systemd-repart: 0 for success, 76 if there is
/// no image, 77 if the image has no partition table that can be used, otherwise 1.
pub(super) fn run(args: &Repart) -> ExitCode {
    match try_run(args) {
        Ok(code) => code,
        Err(error) => {
            fail(&error, &FLAGS, print_notice);
            match error {
                Error::Label { .. } => 77.into(),
                _ => 1.into(),
            }
        }
    }
}

fn try_run(args: &Repart) -> Result<ExitCode> {
    if args.version {
        // Callers parse the third word.
        print(&format!("systemd {SYSTEMD_VERSION} ({SYSTEMD_VERSION})\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.unused.list_devices {
        return Ok(ExitCode::SUCCESS);
    }
    if args.json.as_deref() == Some("help") {
        print("pretty\nshort\noff\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    refuse(args)?;
    let environment = Environment::read();
    environment.warnings.iter().for_each(|warning| print_notice(warning));
    let context = to_options::context(args, &environment)?;
    let options = to_options::options(args, &environment, &context)?;
    if args.image.is_none() {
        print_notice(&"no root device to operate on; give the path of an image");
        return Ok(76.into());
    }

    let (definitions, warnings) = match to_options::ddi(args)? {
        Some(ddi) => config::parse(&ddi.files(), &context)?,
        None => read(args, &context)?,
    };
    warnings.iter().for_each(|warning| print_notice(warning));
    let report = |line: &dyn Display| print_notice(&FLAGS.text(&line.to_string()));
    let mut all = Vec::new();
    // Partitions of the last image come first, as in systemd-repart.
    for image in args.copy_from.iter().rev() {
        if let Some(target) = &options.image
            && is_same(image, target)?
        {
            return Err(Error::parameter(
                "--copy-from",
                format!("{} is the output image", HostPath(image)),
                "copy from another image",
            ));
        }
        all.extend(repart::copy_from(image, &context.filter, &report)?);
    }
    let within = |path: &mut PathBuf| {
        // Files found in a root are reported relative to the root, as in systemd-repart.
        let root = args.root.as_ref().filter(|_| given(args).next().is_none());
        let root = root.and_then(|root| std::path::absolute(root).ok());
        if let Some(rest) = root.and_then(|root| path.strip_prefix(root).ok().map(Path::to_owned)) {
            *path = rest;
        }
    };
    for mut definition in definitions {
        definition.file.iter_mut().chain(&mut definition.drop_ins).for_each(within);
        all.push(definition);
    }

    write(args, &environment, all, &options, &report)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the image and prints its partitions.
fn write(
    args: &Repart,
    environment: &Environment,
    definitions: Vec<Definition>,
    options: &Options,
    report: repart::Report<'_>,
) -> Result<()> {
    let json = to_options::json(args.json.as_deref())?;
    let pretty = to_options::flag("--pretty", args.pretty.as_deref(), true)?;
    let prepared = repart::prepare(definitions, options, report)?;
    let Outcome { partitions } = prepared.outcome();
    // The result is printed first: a caller that sees a failure must not find a new image.
    if let (Some(partitions), Some(image)) = (partitions, &options.image) {
        let arrow = format_row::Arrow(if environment.ascii { "->" } else { "→" });
        if json != Json::Off {
            let sizes = environment.debug.then_some(arrow);
            print_json_lines(&json::text(partitions, image, json, sizes))?;
        } else if pretty {
            print(&table::text(partitions, !args.no_legend, arrow))?;
        }
    }
    prepared.finish().map(drop)
}

/// Makes a new image. The options are those of the command line, which `change` completes.
pub(super) fn create(
    words: impl IntoIterator<Item = OsString>,
    change: impl FnOnce(&mut Options),
) -> Result<()> {
    let words = [OsString::from(NAME)].into_iter().chain(words);
    let args = parse(words).expect("the options exist and take any value");
    let environment = Environment { spool: spool(), ..Environment::default() };
    let context = to_options::context(&args, &environment)?;
    let mut options = to_options::options(&args, &environment, &context)?;
    change(&mut options);
    let (definitions, warnings) = read_some(&args, &context)?;
    warnings.iter().for_each(|warning| print_warning(warning));
    let report = |line: &dyn Display| print_notice(&FLAGS.text(&line.to_string()));
    write(&args, &environment, definitions, &options, &report)
}

/// Reads the definitions in the directories.
fn read(args: &Repart, context: &Context) -> Result<(Vec<Definition>, Vec<Warning>)> {
    let Directories { paths, root } = directories(args)?;
    config::read(&paths, &root, context)
}

/// Reads the definitions in the directories, which must have some.
fn read_some(args: &Repart, context: &Context) -> Result<(Vec<Definition>, Vec<Warning>)> {
    let (definitions, warnings) = read(args, context)?;
    if definitions.is_empty() {
        return Err(Error::parameter(
            "--definitions",
            "there is no definition in the directory",
            "give a directory with files `*.conf`",
        ));
    }
    Ok((definitions, warnings))
}

/// Returns the definitions that the options select, each with the identity of its partition in a
/// new image.
pub(super) fn identities(
    options: impl IntoIterator<Item = OsString>,
    seed: Seed,
) -> Result<Vec<(Definition, Identity)>> {
    let words = [OsString::from(NAME)].into_iter().chain(options);
    let args = parse(words).expect("the options exist and take any value");
    let environment = Environment::read();
    let context = to_options::context(&args, &environment)?;
    let (definitions, warnings) = read_some(&args, &context)?;
    environment.warnings.iter().for_each(|warning| print_notice(warning));
    warnings.iter().for_each(|warning| print_notice(warning));
    let identities = repart::identities(seed, &definitions)?;
    Ok(definitions.into_iter().zip(identities).collect())
}

/// Rejects options that make no sense for an image.
fn refuse(args: &Repart) -> Result<()> {
    let unused = &args.unused;
    if to_options::flag("--factory-reset", unused.factory_reset.as_deref(), false)? {
        return Err(Error::parameter(
            "--factory-reset",
            "a factory reset needs a running system",
            "omit it, and recreate the image",
        ));
    }
    for (parameter, args) in [("--offline", &args.offline), ("--cow", &args.cow)] {
        if args.as_deref() != Some("auto") {
            to_options::flag(parameter, args.as_deref(), true)?;
        }
    }
    match unused.wanted() {
        Some(option) => Err(Error::parameter(
            "systemd-repart",
            format!("{option} needs a running system"),
            "omit it; detfs only works on images",
        )),
        None => Ok(()),
    }
}

/// Returns whether two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let inode = |path: &Path| match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Error::source(path.as_os_str().as_encoded_bytes(), "cannot read its status", error))
        }
    };
    Ok(match (inode(one)?, inode(other)?) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    })
}

/// Returns the directories given by `--definitions`.
fn given(args: &Repart) -> impl Iterator<Item = &PathBuf> {
    args.definitions.iter().filter(|path| !path.as_os_str().is_empty())
}

/// The directories that definitions are read from.
struct Directories {
    /// Absolute paths on the host.
    paths: Vec<PathBuf>,
    /// The root that symlinks are resolved in.
    root: PathBuf,
}

/// Returns the given directories, or else the standard directories of the root.
fn directories(args: &Repart) -> Result<Directories> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| {
            let rule = format!("cannot find the current directory: {error}");
            Error::parameter("--definitions", rule, "give absolute paths")
        })
    };
    let paths = given(args).map(|path| absolute(path)).collect::<Result<Vec<_>>>()?;
    for path in &paths {
        let exists = path.try_exists().map_err(|error| {
            Error::source(path.as_os_str().as_encoded_bytes(), "cannot read", error)
        })?;
        if !exists {
            print_notice(&format_args!("{}: no such directory", HostPath(path)));
        }
    }
    if !paths.is_empty() {
        return Ok(Directories { paths, root: "/".into() });
    }
    let root = absolute(to_options::root(args))?;
    let places = ["etc", "run", "usr/local/lib", "usr/lib"];
    let paths = places.map(|place| root.join(place).join("repart.d")).into();
    Ok(Directories { paths, root })
}

/// Parses the arguments of the program called systemd-repart.
///
/// # Errors
/// The errors of clap.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Repart, clap::Error> {
    let matches = Program::command().try_get_matches_from(arguments)?;
    Ok(Program::from_arg_matches(&matches)?.repart)
}
