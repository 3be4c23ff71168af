//! `detfs build`: builds an image from a tree or from packages, as described in a file.

mod definitions;
mod file;
mod outputs;
mod section;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::arguments::{self, Build, Command, Mkimage, StageCommand, StagePacman};
use super::fields::FLAGS;
use super::mkimage::MkimageJob;
use super::uki_hook::UkiLock;
use super::{repart, sha256_file, stage};
use crate::error::Result;
use crate::seed::Seed;
use crate::stage::Scratch;
use definitions::{Definitions, DefinitionsJob};
use file::{BuildFile, Locations, read};
use section::Section;

/// A build whose configuration has been parsed.
struct BuildJob<'a> {
    of_stage: Section<'a>,
    of_image: Section<'a>,
    stage: Option<StagePacman>,
    image: Mkimage,
    /// Definitions to use instead of the built-in set of partitions.
    definitions: Option<Definitions>,
    /// Working directory with the tree, if it is made from packages.
    _scratch: Option<Scratch>,
}

pub(super) fn run(args: &Build) -> Result<()> {
    let (build_file, locations) = read(&args.config)?;
    BuildJob::new(args, build_file, &locations)?.run()
}

/// Returns whether a file has a `[stage]` table; false if the file can't be read, which is reported
/// later.
pub(super) fn stages(config: &Path) -> bool {
    read(config).is_ok_and(|(build_file, _)| build_file.stage.is_some())
}

/// Sets a key of a table to a value, if there is one.
fn set(table: &mut Table, key: &str, value: Option<Value>) {
    value.map(|value| table.insert(key.into(), value));
}

/// Sets the options of `detfs build` that are options of `detfs mkimage` too.
fn set_options(image: &mut Table, args: &Build) {
    set(image, "no-sync", Some(args.no_sync.into()));
    set(image, "json", Some(args.json.into()));
    set(image, "dry-run", Some(args.dry_run.into()));
    set(image, "strict", args.strict.then_some(true.into()));
    set(image, "quiet", Some(args.verbosity.quiet.into()));
    set(image, "verbose", Some(args.verbosity.verbose.into()));
}

/// Returns the epoch of the file or of the command line, which can't both have one.
fn one_epoch(args: &Build, value: Option<Value>, locations: &Locations) -> Result<Option<Value>> {
    match (&args.source_date_epoch, value) {
        (Some(_), Some(_)) => {
            let rule = "`source-date-epoch` is given, and --source-date-epoch too";
            Err(locations.fault("", "source-date-epoch", rule))
        }
        (Some(text), None) => Ok(Some(text.clone().into())),
        (None, value) => Ok(value),
    }
}

/// Returns the seed, if there is a valid one. A mistake in it is reported when it is parsed.
fn given_seed(seed: Option<&Value>, seed_string: Option<&Value>) -> Option<Seed> {
    let of_uuid = seed.and_then(Value::as_str).and_then(|text| text.parse().ok()).map(Seed);
    of_uuid.or_else(|| seed_string.and_then(Value::as_str).map(Seed::from_text))
}

impl<'a> BuildJob<'a> {
    fn new(args: &Build, build_file: BuildFile, locations: &'a Locations) -> Result<Self> {
        let BuildFile { source_date_epoch, seed, seed_string, stage, mut image, .. } = build_file;
        let source_date_epoch = one_epoch(args, source_date_epoch, locations)?;
        let of_image = Section { locations, table: "image", subcommand: &["mkimage"] };
        let of_stage = Section { locations, table: "stage", subcommand: &["stage", "pacman"] };
        if args.update && stage.as_ref().is_none_or(|stage| !stage.contains_key("lock")) {
            return Err(of_stage.fault("", "--update: [stage] has no `lock` to replace"));
        }
        check_places(of_image, &image)?;
        stage.iter().try_for_each(|stage| check_places(of_stage, stage))?;

        let out = image.remove("out").ok_or_else(|| of_image.fault("", "[image] has no `out`"))?;
        let out = locations.path_of("image", "out", &out)?;
        let definitions = Definitions::take(of_image, &mut image)?;
        let (tree, scratch) = match (image.remove("tree"), &stage) {
            (Some(tree), None) => (locations.path_of("image", "tree", &tree)?, None),
            (None, Some(_)) => {
                // A tree can't be stored beside a device or another special file.
                let is_special = fs::metadata(&out).is_ok_and(|metadata| !metadata.is_file());
                let beside = if is_special { &args.config } else { &out };
                let scratch = Scratch::beside(beside, "build")?;
                (scratch.join("root"), Some(scratch))
            }
            (Some(_), Some(_)) => {
                let rule = "`tree` is given, and [stage], which makes another tree";
                return Err(of_image.fault("tree", rule));
            }
            (None, None) => {
                return Err(
                    of_image.fault("tree", "there is neither [stage] nor `tree` in [image]")
                );
            }
        };
        let stage = match stage {
            Some(mut stage) => {
                set(&mut stage, "source-date-epoch", source_date_epoch.clone());
                let is_locked = !args.update && is_locked(of_stage, &stage)?;
                set(&mut stage, "locked", Some(is_locked.into()));
                parse_stage(of_stage, &stage, &tree)?
            }
            None => None,
        };
        // The image has the epoch of its packages, wherever that comes from.
        let epoch = match (source_date_epoch, &stage) {
            (None, Some(args)) => {
                let epoch = stage::epoch(args);
                Some(epoch.map_err(|error| of_stage.locate(error, &FLAGS))?.into())
            }
            (epoch, _) => epoch,
        };
        let manifest = image.get("manifest");
        let manifest = manifest.map(|path| locations.path_of("image", "manifest", path));
        let manifest = manifest.transpose()?;
        let has_sha256 = image.get("sha256-file") == Some(&Value::Boolean(true));
        let sha256 = has_sha256.then(|| sha256_file::path(&out)).transpose();
        let sha256 = sha256.map_err(|error| of_image.locate(error, &FLAGS))?;
        locations.check_distinct(&[
            ("image", "out", Some(&out)),
            ("image", "sha256-file", sha256.as_ref()),
            ("image", "manifest", manifest.as_ref()),
            ("stage", "lock", stage.as_ref().and_then(|stage| stage.lock.as_ref())),
        ])?;
        let given = given_seed(seed.as_ref(), seed_string.as_ref());
        let is_own = outputs::are_own(&out, sha256.as_deref(), manifest.as_deref(), given);
        set(&mut image, "source-date-epoch", epoch);
        set(&mut image, "seed", seed);
        set(&mut image, "seed-string", seed_string);
        set(&mut image, "force", Some((args.force || is_own).into()));
        set_options(&mut image, args);
        let Command::Mkimage(image) = of_image.parse(&image, &[tree.into(), out.into()])? else {
            unreachable!("it was parsed as such")
        };
        let stage = stage.map(|stage| match args.dry_run && !stage.locked {
            true => StagePacman { lock: None, ..stage },
            false => stage,
        });
        Ok(Self { of_stage, of_image, stage, image: *image, definitions, _scratch: scratch })
    }

    fn run(self) -> Result<()> {
        let Self { of_stage, of_image, stage, image, definitions, _scratch } = self;
        let is_quiet = image.output_args.verbosity.quiet;
        let lock = stage.as_ref().and_then(|stage| {
            stage.lock.clone().map(|path| UkiLock { path, is_locked: stage.locked })
        });
        let stage = || {
            let staged = stage.as_ref().map_or(Ok(()), |stage| stage::pacman(stage, is_quiet));
            staged.map_err(|error| of_stage.locate(error, &FLAGS))
        };
        let of_image = |error| match definitions {
            Some(_) => of_image.locate(error, &repart::FLAGS),
            None => of_image.locate(error, &FLAGS),
        };
        match &definitions {
            Some(definitions) => {
                let job = DefinitionsJob::new(&image, definitions).map_err(of_image)?;
                stage()?;
                job.run().map_err(of_image)
            }
            None => {
                let job = MkimageJob::new(&image, lock).map_err(of_image)?;
                stage()?;
                job.run().map_err(of_image)
            }
        }
    }
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

/// Rejects keys that belong elsewhere.
fn check_places(section: Section<'_>, table: &Table) -> Result<()> {
    match ELSEWHERE.iter().find(|(key, _)| table.contains_key(*key)) {
        Some((key, place)) => Err(section.fault(key, &format!("`{key}` {place}"))),
        None => Ok(()),
    }
}

fn parse_stage(section: Section<'_>, table: &Table, tree: &Path) -> Result<Option<StagePacman>> {
    Ok(match section.parse(table, &[tree.into()])? {
        Command::Stage(arguments::Stage { command: StageCommand::Pacman(args) }) => Some(args),
        _ => None,
    })
}

/// Returns whether the tree is built from the lock.
fn is_locked(section: Section<'_>, stage: &Table) -> Result<bool> {
    let lock = stage.get("lock").map(|lock| section.locations.path_of("stage", "lock", lock));
    // An empty file, such as one created by mktemp, is not a lock yet.
    let there = match lock.transpose()?.map(fs::metadata::<PathBuf>).transpose() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(section.fault("lock", &format!("cannot access it: {error}"))),
        Ok(found) => found.is_some_and(|found| found.len() > 0),
    };
    match stage.get("locked") {
        Some(Value::Boolean(true)) => Ok(true),
        None | Some(Value::Boolean(false)) => Ok(there),
        Some(other) => Err(section.wrong_type("locked", other)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::arguments::Arguments;
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

    fn parse(directory: &Path, text: &str) -> Result<Mkimage> {
        let path = directory.join("image.toml");
        fs::write(&path, format!("[image]\n{text}")).unwrap();
        let (BuildFile { image, .. }, locations) = read(&path)?;
        let section = Section { locations: &locations, table: "image", subcommand: &["mkimage"] };
        let Command::Mkimage(args) = section.parse(&image, &["tree".into(), "out".into()])? else {
            panic!("another command")
        };
        match MkimageJob::new(&args, None).err().map(|error| section.locate(error, &FLAGS)) {
            Some(error) => Err(error),
            None => Ok(*args),
        }
    }

    #[test]
    fn tables_are_options() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        fs::write(directory.join("r"), "").unwrap();
        let args = parse(
            directory,
            "manifest = \"m.json\"\nfs = \"btrfs\"\nexclude = [\"a\", \"b\"]\nbios-boot = true\n\
             dedup = false\nesp-size = \"64M\"\nheadroom = 5\nrules = \"r\"\n",
        )
        .unwrap();
        assert_eq!(args.output_args.manifest, Some(directory.join("m.json")));
        assert_eq!(args.normalize_args.rules, Some(directory.join("r")));
        assert_eq!(args.source.exclude, ["a", "b"]);
        assert!(args.bios_boot && !args.compression.dedup);
        assert_eq!(args.root_fs.headroom.as_deref(), Some("5"));
    }

    #[test]
    fn errors_name_the_line_and_the_key() {
        let directory = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("colour = 1", ":2: [image] has no key `colour`; see"),
            ("\nmanifst = 1", ":3: [image] has no key `manifst`; did you mean `manifest`?"),
            ("esp_size = \"1G\"", ":2: [image] has no key `esp_size`; did you mean `esp-size`?"),
            ("fs = \"zfs\"", ":2: `fs` can't be \"zfs\"; use one of ext4, btrfs, erofs, squashfs"),
            (
                "fs = \"ext3\"",
                ":2: `fs` can't be \"ext3\"; use one of ext4, btrfs, erofs, squashfs; did you mean \
                              \"ext4\"?",
            ),
            ("headroom = 1.5", ":2: `headroom` can't be a float"),
            ("headroom = false", ":2: `headroom` can't be a boolean"),
            ("headroom = []", ":2: `headroom` can't be an array"),
            ("rules = 5", ":2: `rules` can't be an integer"),
            ("colour = []", ":2: [image] has no key `colour`"),
            ("force = \"yes\"", ":2: `force` can't be a string"),
            ("fs = \"ext4\"\nesp-size = \"much\"", ":3: `esp-size`: \"much\" is not a size"),
            (
                "dedup = true",
                ":2: `dedup`: only valid for btrfs or erofs; omit it, or give `fs` btrfs",
            ),
            ("size = \"1G\"\nheadroom = 5", ":3: `headroom`: conflicts with a fixed `size`"),
            (
                "esp-from = \"a\"\nesp-tree = \"b\"",
                "`esp-from` can't be used together with `esp-tree`",
            ),
            ("label = 1\nlabel = 2", ":3: "),
        ] {
            let error = parse(directory.path(), text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let said = error.to_string();
            assert!(
                said.contains(&format!("image.toml{expected}")) || said.contains(expected),
                "{said}"
            );
        }
    }
}
