//! Command-line arguments.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::format::ImageFormat;
use super::repart::Repart;

/// Writes disk images that are the same, bit for bit, wherever and whenever they are built.
#[derive(Debug, Parser)]
#[command(name = "detfs", version, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Mkimage(Box<Mkimage>),
    Mkfs(Box<Mkfs>),
    Normalize(Normalize),
    Stage(Stage),
    Build(Build),
    Repart(Box<Repart>),
}

/// Make a disk image of a root tree: a GPT with an EFI system partition and the root file system
///
/// The EFI system partition holds what the tree has under /efi, else under /boot/efi, else under
/// /boot when that has a directory EFI: the first of them that holds files. The root file system
/// keeps the empty directory. Without such content there is an EFI system partition only if
/// --esp-from, --esp-tree or --esp-size asks for it.
#[derive(Debug, Args)]
pub(super) struct Mkimage {
    /// The directory that holds the root tree
    #[arg(value_name = "ROOTFS")]
    pub(super) tree: PathBuf,
    /// The image: a file, a block device, or - for standard output
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    /// The root file system
    #[arg(long, value_enum, default_value_t = Fs::Ext4)]
    pub(super) fs: Fs,
    /// The size of the whole image, or auto for the smallest with headroom
    #[arg(long, value_name = "auto|BYTES", default_value = "auto")]
    pub(super) size: String,
    #[command(flatten)]
    pub(super) room: RootFsArgs,
    #[command(flatten)]
    pub(super) ext4: Ext4Args,
    #[command(flatten)]
    pub(super) btrfs: BtrfsArgs,
    /// Bytes in a sector of the disk: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value = "512")]
    pub(super) sector_size: String,
    /// The directory of the tree that is the content of the EFI system partition [default: the first
    /// of /efi, /boot/efi, and /boot with a directory EFI, that holds files]
    #[arg(long, value_name = "PATH")]
    pub(super) esp_from: Option<String>,
    /// Take the content of the EFI system partition from this directory beside the tree. Rules and
    /// messages name it as if it were at the mount point
    #[arg(long, value_name = "DIR", conflicts_with = "esp_from")]
    pub(super) esp_tree: Option<PathBuf>,
    /// The size of the EFI system partition [default: twice its content, and at least a FAT32]
    #[arg(long, value_name = "BYTES")]
    pub(super) esp_size: Option<String>,
    /// The variant of its FAT, and of that of XBOOTLDR: some firmware boots FAT32 alone [default: 32]
    #[arg(long, value_enum)]
    pub(super) esp_fat: Option<EspFat>,
    /// Bytes in a sector of its FAT, and of that of XBOOTLDR: 512 or 4096 [default: those of the disk]
    #[arg(long, value_name = "BYTES")]
    pub(super) esp_sector_size: Option<String>,
    /// Put what the tree has under /boot into an extended boot loader partition (XBOOTLDR), with FAT
    #[arg(long)]
    pub(super) xbootldr: bool,
    /// The size of the XBOOTLDR partition, which also asks for one [default: as of the EFI system
    /// partition]
    #[arg(long, value_name = "BYTES")]
    pub(super) xbootldr_size: Option<String>,
    /// Put a BIOS boot partition of 1 MiB first, for a boot loader to be put into
    #[arg(long)]
    pub(super) bios_boot: bool,
    #[command(flatten)]
    pub(super) normalize_args: NormalizeArgs,
    #[command(flatten)]
    pub(super) outcome: OutputArgs,
}

/// What brings a tree into its canonical form.
#[derive(Debug, Args)]
pub(super) struct NormalizeArgs {
    /// The rules that leave out or rewrite what differs between two installations of the same
    /// packages: auto for those that go with the tree's os-release, or none. Rules about secrets
    /// apply to every tree; with none, they only warn
    #[arg(long, value_name = "auto|none|PROFILE", default_value = "auto")]
    pub(super) normalize: String,
    /// A file of rules to be added, and of names of rules to be switched on or off
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,
}

/// Show what would be left out or rewritten in an image of a tree
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["list", "check"]).required(true)))]
pub(super) struct Normalize {
    /// List the rules, as a file that --rules takes
    #[arg(long)]
    pub(super) list: bool,
    /// Tell which rules would fire on a tree, and what else is suspicious in it; with exit code 1 if
    /// one would
    #[arg(long, value_name = "ROOTFS")]
    pub(super) check: Option<PathBuf>,
    #[command(flatten)]
    pub(super) normalize_args: NormalizeArgs,
    /// The latest time in the image [default: $SOURCE_DATE_EPOCH, else the newest in the tree]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, conflicts_with = "list")]
    pub(super) source_date_epoch: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Make a root tree of packages
#[derive(Debug, Args)]
pub(super) struct Stage {
    #[command(subcommand)]
    pub(super) command: StageCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum StageCommand {
    Pacman(StagePacman),
    Check(StageCheck),
}

/// Make a root tree of Arch Linux packages with pacman, as root or in a user namespace
///
/// In a user namespace the owners of the tree are those that /etc/subuid and /etc/subgid give; make
/// an image of it there too (unshare --map-root-user --map-auto), or all at once with detfs build.
#[derive(Debug, Args)]
pub(super) struct StagePacman {
    /// The directory to be made
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) packages: PackagesArgs,
    /// Write down in this file what went into the tree
    #[arg(long, value_name = "FILE")]
    pub(super) lock: Option<PathBuf>,
    /// Make the tree of what that file says, or not at all
    #[arg(long, requires = "lock")]
    pub(super) locked: bool,
    /// Let pacman see another time, with faketime: say +400d
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub(super) clock_offset: Option<String>,
}

/// Make a root tree twice, with another clock, number of processors, directory, umask and host name,
/// and list every path that differs with the rule that makes it the same in an image
///
/// The exit code is 1 if one would differ in an image too.
#[derive(Debug, Args)]
pub(super) struct StageCheck {
    #[command(flatten)]
    pub(super) packages: PackagesArgs,
    #[command(flatten)]
    pub(super) normalize_args: NormalizeArgs,
    /// Print it as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What pacman installs.
#[derive(Debug, Args)]
pub(super) struct PackagesArgs {
    /// A package or a group of packages
    #[arg(long, value_name = "NAME")]
    pub(super) package: Vec<String>,
    /// Where packages are fetched from: with $repo in it as it stands in a pacman.conf, else the start
    /// of the usual path [default: https://geo.mirror.pkgbuild.com]
    #[arg(long, value_name = "URL")]
    pub(super) mirror: Option<String>,
    /// Fetch packages as they were on a day, from the Arch Linux Archive or a mirror of it
    #[arg(long, value_name = "YYYY/MM/DD")]
    pub(super) snapshot: Option<String>,
    /// A repository, the most important first [default: core, extra]
    #[arg(long, value_name = "NAME")]
    pub(super) repo: Vec<String>,
    /// Use this pacman.conf
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mirror", "snapshot", "repo", "architecture"])]
    pub(super) pacman_conf: Option<PathBuf>,
    /// Keep packages in this directory
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    /// The architecture of packages, as Arch Linux calls it [default: x86_64]
    #[arg(long)]
    pub(super) architecture: Option<String>,
    /// The time that packages are told [default: $SOURCE_DATE_EPOCH, else the start of the day of the
    /// snapshot]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(super) source_date_epoch: Option<String>,
}

/// Make an image as a file says: from packages, or of a tree
///
/// The file is TOML. What is in its table [stage] are options of detfs stage pacman by their long
/// names, what is in [image] are those of detfs mkimage, with the image as out and, if there is no
/// [stage], the tree as tree; seed and source-date-epoch stand before both. What can be given several
/// times is an array. Paths are relative to the file. If the lock that [stage] names exists and is not
/// empty, or locked = true is there, the tree is made of what that says. Without an epoch it is that of
/// the lock or of the snapshot.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// The file
    #[arg(value_name = "CONFIG.toml")]
    pub(super) config: PathBuf,
    /// Make the lock anew, with the packages of today
    #[arg(long)]
    pub(super) update: bool,
    /// Replace files that exist, and overwrite devices that have data on them
    #[arg(long)]
    pub(super) force: bool,
    /// Don't wait until all is on the disk: a loss of power may take away what was reported as done
    #[arg(long)]
    pub(super) no_sync: bool,
    /// Print a description of the image with its hashes, as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Make one file system of a tree, without a partition table
#[derive(Debug, Args)]
pub(super) struct Mkfs {
    #[command(subcommand)]
    pub(super) format: MkfsFormat,
}

#[derive(Debug, Subcommand)]
pub(super) enum MkfsFormat {
    Ext4(MkfsExt4),
    Btrfs(MkfsBtrfs),
    Vfat(MkfsVfat),
}

/// Make an ext4 file system
#[derive(Debug, Args)]
pub(super) struct MkfsExt4 {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    #[command(flatten)]
    pub(super) room: RootFsArgs,
    #[command(flatten)]
    pub(super) ext4: Ext4Args,
}

/// Make a btrfs file system
#[derive(Debug, Args)]
pub(super) struct MkfsBtrfs {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    #[command(flatten)]
    pub(super) room: RootFsArgs,
    #[command(flatten)]
    pub(super) btrfs: BtrfsArgs,
}

/// Make a FAT file system: FAT32 where the size allows it, else FAT16 or FAT12
#[derive(Debug, Args)]
pub(super) struct MkfsVfat {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    /// The free room to leave with --size auto, also as a percentage [default: none]
    #[arg(long, value_name = "BYTES|PERCENT")]
    pub(super) headroom: Option<String>,
    /// Bytes in a sector of the disk that it is for: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value = "512")]
    pub(super) sector_size: String,
    /// The label, at most 11 characters
    #[arg(long)]
    pub(super) label: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct MkfsCommon {
    /// The directory that holds the tree
    pub(super) tree: PathBuf,
    /// The file system: a file, a block device, or - for standard output
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// The UUID [default: that of the first root partition or ESP of a disk with this seed]
    #[arg(long)]
    pub(super) uuid: Option<String>,
    /// The size, or auto for the smallest with headroom
    #[arg(long, value_name = "auto|BYTES", default_value = "auto")]
    pub(super) size: String,
    #[command(flatten)]
    pub(super) outcome: OutputArgs,
}

/// What the image is made of.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// What all ids are derived from [default: derived from the tree]
    #[arg(long, value_name = "UUID")]
    pub(super) seed: Option<String>,
    /// The latest time in the image [default: $SOURCE_DATE_EPOCH, else the newest in the tree]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(super) source_date_epoch: Option<String>,
    /// Leave out what matches, with all below it; from the root on, ** crosses directories
    #[arg(long, value_name = "GLOB")]
    pub(super) exclude: Vec<String>,
    /// Leave out extended attributes: a name, or the start of names and a *
    #[arg(long, value_name = "PATTERN")]
    pub(super) drop_xattr: Vec<String>,
    /// Take over extended attributes that are left out by default or by --drop-xattr
    #[arg(long, value_name = "PATTERN")]
    pub(super) keep_xattr: Vec<String>,
    /// How many threads work, up to 64 [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Architecture {
    /// What the tree's programs run on, say x86-64 [default: told from them]
    #[arg(long)]
    pub(super) architecture: Option<String>,
}

/// What every root file system has.
#[derive(Debug, Args)]
pub(super) struct RootFsArgs {
    /// The free room to leave with --size auto, also as a percentage; 0 for an exact fit [default:
    /// that of the ext4 profile; of btrfs, what a first boot writes]
    #[arg(long, value_name = "BYTES|PERCENT")]
    pub(super) headroom: Option<String>,
    /// The label of the file system and of its partition: of ext4 at most 16 bytes, of btrfs 255
    #[arg(long)]
    pub(super) label: Option<String>,
    /// Add a swap file in an existing directory
    #[arg(long, value_name = "PATH:SIZE")]
    pub(super) swapfile: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Ext4Args {
    /// The size that the file system should be able to grow to [default: 1024 times its own]
    #[arg(long, value_name = "BYTES")]
    pub(super) grow_to: Option<String>,
    /// The features of ext4 [default: default]
    #[arg(long, value_enum)]
    pub(super) ext4_profile: Option<Ext4Profile>,
    /// Bytes in a block of ext4: 1024, 2048 or 4096 [default: 4096]
    #[arg(long, value_name = "BYTES")]
    pub(super) ext4_block_size: Option<String>,
    /// Number of ext4 inodes [default: those of the tree and a tenth more, at least one for 16 KiB]
    #[arg(long, value_name = "N")]
    pub(super) inodes: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct BtrfsArgs {
    /// Which kernels may write to the btrfs [default: default]
    #[arg(long, value_enum)]
    pub(super) btrfs_compat: Option<BtrfsCompat>,
    /// What btrfs checksums metadata and data with [default: crc32c]
    #[arg(long, value_enum)]
    pub(super) btrfs_checksum: Option<BtrfsChecksum>,
    /// Bytes in a tree block of btrfs: 4096, 8192, 16384, 32768 or 65536 [default: 16384]
    #[arg(long, value_name = "BYTES")]
    pub(super) btrfs_node_size: Option<String>,
    /// How often btrfs stores metadata [default: dup]
    #[arg(long, value_enum)]
    pub(super) btrfs_metadata: Option<BtrfsMetadata>,
    /// The longest files that btrfs stores in its trees, up to 4095 [default: 2048]
    #[arg(long, value_name = "BYTES")]
    pub(super) btrfs_max_inline: Option<String>,
    /// Compress content where that saves room: zstd[:1-15], zlib[:1-9], lzo or none
    /// [default: none]
    #[arg(long, value_name = "ALGORITHM[:LEVEL]")]
    pub(super) compress: Option<String>,
    /// Don't compress what matches, with all below it; as --exclude
    #[arg(long, value_name = "GLOB")]
    pub(super) no_compress: Vec<String>,
    /// Write the content of matching files and directories in place, without checksums or
    /// compression, with all below them; as --exclude
    #[arg(long, value_name = "GLOB")]
    pub(super) nodatacow: Vec<String>,
    /// Store equal content once
    #[arg(long)]
    pub(super) dedup: bool,
    /// Make a directory a subvolume, read-only or with all content written in place
    #[arg(long, value_name = "PATH[:ro][:nodatacow]")]
    pub(super) subvolume: Vec<String>,
    /// The subvolume that is mounted where none is asked for [default: the top level]
    #[arg(long, value_name = "PATH")]
    pub(super) default_subvolume: Option<String>,
    /// Make copies with shared extents of hard links from one subvolume to another
    #[arg(long)]
    pub(super) copy_links: bool,
}

/// What becomes of the image.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// The format of the image file; needed only under a name that is that of another format, as
    /// disk.qcow2 or disk.raw.zst [default: raw]
    #[arg(long, value_enum)]
    pub(super) format: Option<ImageFormat>,
    /// Write a description of the image with its hashes, as JSON, to this file
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
    /// Print that description instead of a summary
    #[arg(long)]
    pub(super) json: bool,
    /// Replace files that exist, and overwrite devices that have data on them
    #[arg(long)]
    pub(super) force: bool,
    /// Don't wait until all is on the disk: a loss of power may take away what was reported as done
    #[arg(long)]
    pub(super) no_sync: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Fs {
    Ext4,
    Btrfs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum EspFat {
    #[value(name = "12")]
    Fat12,
    #[value(name = "16")]
    Fat16,
    #[value(name = "32")]
    Fat32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BtrfsCompat {
    /// Linux 6.1 and later
    Default,
    /// Linux 4.5 and later; large file systems take longer to mount
    Old,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BtrfsChecksum {
    Crc32c,
    Xxhash,
    Sha256,
    Blake2b,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BtrfsMetadata {
    /// Twice
    Dup,
    /// Once
    Single,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Ext4Profile {
    /// What Debian 12 makes, for every boot loader and kernel of the last years
    Default,
    /// What mke2fs 1.47.4 makes
    Modern,
    /// For boot loaders: no file starts with a hole
    Boot,
    /// For what is never written: no journal, an exact fit
    Ro,
}
