//! Images whose partitions are defined by repart.d files, made by the engine of `detfs repart`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use toml::Table;

use super::section::Section;
use crate::cli::arguments::Mkimage;
use crate::cli::normalize::lines;
use crate::cli::pipeline::{Pipeline, PipelineArgs};
use crate::cli::source::is_archive;
use crate::cli::{print_notice, print_warning, repart, values};
use crate::disk::BuildInput;
use crate::disk::source::epoch;
use crate::error::{Error, Result};
use crate::format::Holds;
use crate::name::HostPath;
use crate::normalize::normalize;

/// Keys that apply to an image from definitions. The others are settings of its definitions.
const KEYS: [&str; 21] = [
    "architecture",
    "drop-xattr",
    "dry-run",
    "exclude",
    "force",
    "gid-map",
    "hardlinks",
    "json",
    "keep-xattr",
    "no-sync",
    "normalize",
    "owner",
    "rules",
    "sector-size",
    "seed",
    "seed-string",
    "size",
    "source-date-epoch",
    "strict",
    "threads",
    "uid-map",
];

/// What `[image]` says about definitions.
pub(super) struct Definitions {
    directory: PathBuf,
    /// Whether the sector size is given. The default of `detfs repart` is another one.
    has_sector_size: bool,
}

impl Definitions {
    /// Takes the key `definitions` out of the table, if it is there, and rejects keys that then
    /// mean nothing.
    pub(super) fn take(section: Section<'_>, table: &mut Table) -> Result<Option<Self>> {
        let Some(directory) = table.remove("definitions") else { return Ok(None) };
        let directory = section.locations.path_of(section.table, "definitions", &directory)?;
        let known = |key: &str| KEYS.contains(&key) || !section.has(key);
        match table.keys().find(|key| !known(key)) {
            Some(key) => {
                let rule = format!("`{key}` has no meaning with `definitions`");
                let remedy = "leave it out, and set what the definitions have a setting for there";
                Err(section.locations.fault_with(section.table, key, &rule, remedy.into()))
            }
            None => {
                Ok(Some(Self { directory, has_sector_size: table.contains_key("sector-size") }))
            }
        }
    }
}

/// Builds the image.
pub(super) struct DefinitionsJob<'a> {
    args: &'a Mkimage,
    definitions: &'a Definitions,
    pipeline: Pipeline<'a>,
}

impl<'a> DefinitionsJob<'a> {
    /// Checks the arguments.
    pub(super) fn new(args: &'a Mkimage, definitions: &'a Definitions) -> Result<Self> {
        values::size(&args.size)?;
        values::sector_size("--sector-size", &args.sector_size)?;
        if is_archive(&args.tree) {
            let tree = HostPath(&args.tree);
            let rule = format!("{tree} is an archive, but definitions are resolved in a directory");
            let remedy = "unpack it, or name it in CopyFiles= with the target /";
            return Err(Error::parameter("tree", rule, remedy));
        }
        let pipeline = Pipeline::new(PipelineArgs::of_disk(args), Holds::empty())?;
        Ok(Self { args, definitions, pipeline })
    }

    /// Reads and normalizes the tree, and makes the image of it.
    pub(super) fn run(self) -> Result<()> {
        let Self { args, definitions, pipeline } = self;
        let verbosity = args.output_args.verbosity;
        let (input, of_host) = pipeline.read(None)?;
        let BuildInput { mut tree, hard_links, rules, mut warnings, seed, epoch: given, .. } =
            input;
        tree.apply_hard_links(hard_links)?;
        warnings.extend(of_host);
        let (epoch, origin) = epoch(&tree, given)?;
        let report = normalize(&mut tree, &rules, epoch)?;
        pipeline.warnings(&warnings).iter().for_each(|warning| print_warning(warning));
        if verbosity.verbose {
            lines(&report, origin).iter().for_each(|line| print_notice(line));
        }
        let option = |name: &str, value: &dyn AsRef<OsStr>| {
            let mut word = OsString::from(name);
            word.push(value);
            word
        };
        let mut words = vec![
            "--empty=create".into(),
            option("--definitions=", &definitions.directory),
            option("--root=", &args.tree),
            option("--size=", &args.size),
        ];
        let sector_size = definitions.has_sector_size.then_some(&args.sector_size);
        words.extend(sector_size.map(|size| option("--sector-size=", size)));
        let architecture = args.architecture.architecture.as_ref();
        words.extend(architecture.map(|name| option("--architecture=", name)));
        words.extend(args.output_args.json.then(|| "--json=pretty".into()));
        words.extend(verbosity.quiet.then(|| "--pretty=no".into()));
        words.push("--".into());
        words.push(args.out.path().into());
        repart::create(words, |options| {
            options.seed = seed;
            options.epoch = Some(epoch);
            options.tree = Some(tree);
            options.sync = !args.output_args.no_sync;
            options.dry_run = args.output_args.dry_run;
            options.replace = args.output_args.force || args.output_args.dry_run;
        })
    }
}
