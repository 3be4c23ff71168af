//! Command-line arguments that several subcommands have.

use std::path::PathBuf;

use clap::Args;

use super::format::ImageFormat;
use crate::tree::HardLinks;

/// Headings of groups of options.
pub(super) const TREE: &str = "Tree";
pub(super) const IDS: &str = "Times and ids";
pub(super) const OUTPUT: &str = "Output";

/// Seed, as a UUID or as a text.
#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// Seed for all UUIDs [default: derived from the tree]
    #[arg(long, value_name = "UUID", help_heading = IDS)]
    pub(super) seed: Option<String>,
    /// Seed for all UUIDs, as a text that is hashed
    #[arg(long, value_name = "TEXT", conflicts_with = "seed", help_heading = IDS)]
    pub(super) seed_string: Option<String>,
}

/// Selection of the sources, and what all ids and times derive from.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Exclude matching paths and everything below them; GLOB is relative to the root, and **
    /// crosses directories
    #[arg(long, value_name = "GLOB", help_heading = TREE)]
    pub(super) exclude: Vec<String>,
    /// Drop extended attributes with this name, or with this prefix if PATTERN ends with *
    #[arg(long, value_name = "PATTERN", help_heading = TREE)]
    pub(super) drop_xattr: Vec<String>,
    /// Keep extended attributes that are dropped by default or by --drop-xattr
    #[arg(long, value_name = "PATTERN", help_heading = TREE)]
    pub(super) keep_xattr: Vec<String>,
    /// Whether to keep hard links, to break them so that each name gets a copy, or to refuse them.
    /// Programs that save space link equal files, so hard links may differ between hosts
    #[arg(long, value_enum, value_name = "RULE", default_value_t = HardLinks::Keep, help_heading = TREE)]
    pub(super) hardlinks: HardLinks,
    #[command(flatten)]
    pub(super) owner_args: OwnerArgs,
    #[command(flatten)]
    pub(super) seed_args: SeedArgs,
    /// Latest timestamp in the image: seconds since 1970, a date or a time in UTC [default:
    /// $SOURCE_DATE_EPOCH, else the newest in the tree]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = IDS)]
    pub(super) source_date_epoch: Option<String>,
}

/// Other owners than those of the source.
#[derive(Debug, Args)]
pub(super) struct OwnerArgs {
    /// Owner and group of everything in the tree, for example 0:0
    #[arg(long, value_name = "UID:GID", conflicts_with_all = ["uid_map", "gid_map"], help_heading = TREE)]
    pub(super) owner: Option<String>,
    /// Map user ids of the tree, as a user namespace does: COUNT ids from OUTSIDE on become those
    /// from INSIDE on, also in ACLs and file capabilities. The maps must cover all owners
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", help_heading = TREE)]
    pub(super) uid_map: Vec<String>,
    /// Map group ids of the tree, as --uid-map does user ids
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", help_heading = TREE)]
    pub(super) gid_map: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Architecture {
    /// Target architecture, for example x86-64 [default: detected from the ELF binaries]
    #[arg(long, help_heading = IDS)]
    pub(super) architecture: Option<String>,
}

/// Output options.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Format of the image file; required only if the file name suggests another format, such as
    /// disk.qcow2 or disk.raw.zst [default: raw]
    #[arg(long, value_enum, help_heading = OUTPUT)]
    pub(super) format: Option<ImageFormat>,
    /// Write a JSON manifest of the image, including its hashes, to this file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(super) manifest: Option<PathBuf>,
    /// Print the manifest instead of a summary
    #[arg(long, help_heading = OUTPUT)]
    pub(super) json: bool,
    /// Plan the image and report its ids, sizes and offsets, but write no file; there are no hashes
    #[arg(long, help_heading = OUTPUT)]
    pub(super) dry_run: bool,
    /// Write the SHA-256 of the image to OUT.sha256, for sha256sum --check
    #[arg(long, help_heading = OUTPUT)]
    pub(super) sha256_file: bool,
    /// Don't compute the SHA-256 of the image
    #[arg(long, conflicts_with_all = ["sha256_file", "manifest", "json"], help_heading = OUTPUT)]
    pub(super) no_sha256: bool,
    #[command(flatten)]
    pub(super) verbosity: Verbosity,
    /// Replace existing files, and overwrite devices that contain data
    #[arg(short, long, help_heading = OUTPUT)]
    pub(super) force: bool,
    /// Don't flush the output to disk: a power failure may lose an image that was reported as
    /// written
    #[arg(long, help_heading = OUTPUT)]
    pub(super) no_sync: bool,
    /// Number of threads, up to 64 [default: the number of processors]
    #[arg(short = 'j', long, value_name = "N", help_heading = OUTPUT)]
    pub(super) threads: Option<String>,
}

/// Options for how much is printed.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Verbosity {
    /// Print only errors and warnings
    #[arg(short, long, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub(super) quiet: bool,
    /// List what normalization removed or rewrote
    #[arg(short, long, help_heading = OUTPUT)]
    pub(super) verbose: bool,
}

/// Options that select normalization rules.
#[derive(Debug, Args)]
pub(super) struct NormalizeArgs {
    /// Profile of rules that remove or rewrite what differs between two installations of the same
    /// packages: auto to choose by the tree's os-release, or none. Rules about secrets apply to
    /// every tree; with none, they only warn
    #[arg(long, value_name = "auto|none|PROFILE", default_value = "auto", help_heading = TREE)]
    pub(super) normalize: String,
    /// File with additional rules, and with names of rules to enable or disable
    #[arg(long, value_name = "FILE", help_heading = TREE)]
    pub(super) rules: Option<PathBuf>,
}

/// Packages that pacman installs.
#[derive(Debug, Args)]
pub(super) struct PackagesArgs {
    /// Package or package group to install
    #[arg(long, value_name = "NAME")]
    pub(super) package: Vec<String>,
    /// Mirror to fetch packages from: a URL with $repo as in pacman.conf, or the base URL of a
    /// mirror with the usual layout [default: https://geo.mirror.pkgbuild.com]
    #[arg(long, value_name = "URL")]
    pub(super) mirror: Option<String>,
    /// Fetch the packages of this day from the Arch Linux Archive or a mirror of it
    #[arg(long, value_name = "YYYY/MM/DD")]
    pub(super) snapshot: Option<String>,
    /// Repository to use, in order of precedence [default: core, extra]
    #[arg(long, value_name = "NAME")]
    pub(super) repo: Vec<String>,
    /// Use this pacman.conf
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mirror", "snapshot", "repo", "architecture"])]
    pub(super) pacman_conf: Option<PathBuf>,
    /// Cache packages in this directory
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    /// Architecture of the packages, as named by Arch Linux [default: x86_64]
    #[arg(long)]
    pub(super) architecture: Option<String>,
    /// SOURCE_DATE_EPOCH for the programs that packages run [default: $SOURCE_DATE_EPOCH, else the
    /// start of the day of the snapshot]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = IDS)]
    pub(super) source_date_epoch: Option<String>,
}
