//! Command-line arguments.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand};

pub(super) use super::common_arguments::{
    Architecture, NormalizeArgs, OutputArgs, OwnerArgs, PackagesArgs, SeedArgs, SourceArgs,
    Verbosity,
};
use super::common_arguments::{IDS, OUTPUT};
use super::format_arguments::{
    BtrfsArgs, CompressArg, CompressionArgs, ErofsArgs, Ext4Args, Fs, RootFsArgs, SquashfsArgs,
    UsrFs,
};
use super::help;
use super::repart::Repart;
use crate::disk::image::BootMethod;
use crate::fat::Variant;

/// Headings of groups of options.
const FILE_SYSTEM: &str = "File system";
const ROOT: &str = "Root file system";
const DISK: &str = "ESP and disk";

/// Write disk images that are bit-for-bit reproducible, wherever and whenever they are built
#[derive(Debug, Parser)]
#[command(name = "detfs", max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = help::DETFS)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Mkimage(Box<Mkimage>),
    Mkfs(Box<Mkfs>),
    Ids(Ids),
    Normalize(Normalize),
    Stage(Stage),
    Build(Build),
    Repart(Box<Repart>),
    #[command(short_flag = 'V', long_flag = "version")]
    Version(Version),
}

/// Print the version
#[derive(Debug, Args)]
pub(super) struct Version {
    /// Print the target, the version of systemd-repart that `detfs repart` follows, and the layout
    /// version with its components, too
    #[arg(short, long)]
    pub(super) verbose: bool,
}

/// Make a disk image from a root tree: a GPT with an EFI system partition and a root file system
///
/// The EFI system partition is filled from the first of these directories that holds files: /efi,
/// /boot/efi, and /boot if it has a subdirectory EFI. In the root file system that directory stays,
/// empty. If all of them are empty, an EFI system partition is added only with --esp-from,
/// --esp-tree, --esp-size or --boot.
#[derive(Debug, Args)]
#[command(after_help = help::MKIMAGE)]
pub(super) struct Mkimage {
    /// Root tree: a directory, a tar archive (plain, or compressed by gzip, zstd or xz), or - for
    /// an archive on standard input
    #[arg(value_name = "ROOTFS")]
    pub(super) tree: PathBuf,
    #[command(flatten)]
    pub(super) normalize_args: NormalizeArgs,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    /// Type of the root file system
    #[arg(long, value_enum, default_value_t = Fs::Ext4, help_heading = ROOT)]
    pub(super) fs: Fs,
    #[command(flatten, next_help_heading = ROOT)]
    pub(super) root_fs: RootFsArgs,
    #[command(flatten)]
    pub(super) compression: CompressionArgs,
    #[command(flatten)]
    pub(super) ext4: Ext4Args,
    #[command(flatten)]
    pub(super) btrfs: BtrfsArgs,
    #[command(flatten)]
    pub(super) erofs: ErofsArgs,
    #[command(flatten)]
    pub(super) squashfs: SquashfsArgs,
    /// Put the content of /usr into a partition of its own with this type of file system, which
    /// --verity then protects instead of the root
    #[arg(long, value_enum, value_name = "FORMAT", requires = "verity", help_heading = ROOT)]
    pub(super) usr_fs: Option<UsrFs>,
    /// Protect the root file system by dm-verity, with a hash tree in a partition of its own. The
    /// file system has the smallest size and, if it is ext4, the profile ro
    #[arg(long, help_heading = ROOT)]
    pub(super) verity: bool,
    /// Private key in PEM to sign the root hash with, for a signature partition
    #[arg(long, value_name = "FILE", requires_all = ["verity", "certificate"], help_heading = ROOT)]
    pub(super) private_key: Option<PathBuf>,
    /// Certificate in PEM of the private key
    #[arg(long, value_name = "FILE", requires = "private_key", help_heading = ROOT)]
    pub(super) certificate: Option<PathBuf>,
    /// Size of the whole image, or auto for the smallest that leaves the headroom
    #[arg(long, value_name = "auto|BYTES", default_value = "auto", help_heading = DISK)]
    pub(super) size: String,
    /// Sector size of the disk: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value = "512", help_heading = DISK)]
    pub(super) sector_size: String,
    /// Directory of the tree to fill the EFI system partition from [default: the first of /efi,
    /// /boot/efi, and /boot with a subdirectory EFI, that holds files]
    #[arg(long, value_name = "PATH", help_heading = DISK)]
    pub(super) esp_from: Option<String>,
    /// Fill the EFI system partition from this directory outside the tree. Rules and messages refer
    /// to its files by their paths under the mount point
    #[arg(long, value_name = "DIR", conflicts_with = "esp_from", help_heading = DISK)]
    pub(super) esp_tree: Option<PathBuf>,
    /// Size of the EFI system partition [default: twice its content, at least the minimum of FAT32]
    #[arg(long, value_name = "BYTES", help_heading = DISK)]
    pub(super) esp_size: Option<String>,
    /// FAT variant of the EFI system and XBOOTLDR partitions; some firmware boots only from FAT32
    /// [default: 32]
    #[arg(long, value_enum, help_heading = DISK)]
    pub(super) esp_fat: Option<Variant>,
    /// FAT sector size of the EFI system and XBOOTLDR partitions: 512 or 4096 [default: that of the
    /// disk]
    #[arg(long, value_name = "BYTES", help_heading = DISK)]
    pub(super) esp_sector_size: Option<String>,
    /// Put the content of /boot into an extended boot loader partition (XBOOTLDR), formatted as FAT
    #[arg(long, help_heading = DISK)]
    pub(super) xbootldr: bool,
    /// Size of the XBOOTLDR partition; implies --xbootldr [default: as for the EFI system
    /// partition]
    #[arg(long, value_name = "BYTES", help_heading = DISK)]
    pub(super) xbootldr_size: Option<String>,
    /// Add an empty BIOS boot partition of 1 MiB, as the first partition, for a boot loader
    #[arg(long, help_heading = DISK)]
    pub(super) bios_boot: bool,
    /// Boot loader and kernels to add to the EFI system and XBOOTLDR partitions, from the tree
    #[arg(long, value_enum, value_name = "METHOD", default_value_t = BootMethod::None, help_heading = DISK)]
    pub(super) boot: BootMethod,
    /// Options of the kernel for the entries of systemd-boot; root= of this image and rw are added
    /// unless they have a root= or a ro, with --verity only roothash=, and with --usr-fs usrhash=
    /// besides [default: those in /etc/kernel/cmdline of the tree]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = DISK)]
    pub(super) cmdline: Option<String>,
    /// Program that builds the unified kernel image to add, instead of those of the tree. It writes
    /// the file that its argument and $DETFS_OUTPUT name, for the root hash in $DETFS_ROOT_HASH, or
    /// $DETFS_USR_HASH with --usr-fs, and the architecture in $DETFS_ARCHITECTURE. It has no other
    /// environment of the caller
    #[arg(long, value_name = "PROGRAM", requires = "verity", help_heading = DISK)]
    pub(super) uki_hook: Option<PathBuf>,
    /// Fail if the image would not boot, as far as can be seen without booting it
    #[arg(long, help_heading = DISK)]
    pub(super) require_bootable: bool,
    #[command(flatten)]
    pub(super) out: OutArg,
    /// Refuse, with exit code 3, what another host could not reproduce: a seed or an epoch derived
    /// from the tree, a --uki-hook that builds another image in a second run, and everything that
    /// normalize --check calls suspicious, except for the content of files in /usr
    #[arg(long, help_heading = OUTPUT)]
    pub(super) strict: bool,
    #[command(flatten)]
    pub(super) output_args: OutputArgs,
}

/// Output of a build, as an argument or as an option.
#[derive(Debug, Args)]
pub(super) struct OutArg {
    /// Output: a file, a block device, or - for standard output
    #[arg(required_unless_present = "output", help_heading = None::<&str>)]
    out: Option<PathBuf>,
    /// Output, if it is not given as an argument
    #[arg(short, long, value_name = "OUT", conflicts_with = "out", help_heading = OUTPUT)]
    output: Option<PathBuf>,
}

impl OutArg {
    pub(super) fn path(&self) -> &Path {
        self.out.as_deref().or(self.output.as_deref()).expect("one of them is required")
    }
}

/// Print the UUIDs that an image will have
///
/// UUIDs depend only on the seed and on the types and the order of the partitions. Without
/// --definitions, they are those of detfs mkimage, whatever partitions and root file system the
/// image has; detfs mkfs ext4, btrfs and erofs use that of the root, and detfs mkfs vfat that of
/// the ESP. With --definitions, they are those of a new image of detfs repart. Partitions whose
/// UUIDs are halves of the root hash of a hash tree, as with --verity, get them when the tree is
/// known. Sizes and offsets depend on the tree: --dry-run of detfs mkimage, mkfs and build reports
/// them.
#[derive(Debug, Args)]
#[command(after_help = help::IDS)]
pub(super) struct Ids {
    #[command(flatten)]
    pub(super) seed_args: SeedArgs,
    /// Architecture of the root partition, for example x86-64 [default with --definitions: that of
    /// this host, as for detfs repart]
    #[arg(long, required_unless_present = "definitions")]
    pub(super) architecture: Option<String>,
    /// Directory of repart.d definitions
    #[arg(long, value_name = "DIR")]
    pub(super) definitions: Option<PathBuf>,
    /// Root directory that specifiers in definitions refer to [default: /]
    #[arg(long, value_name = "PATH", requires = "definitions")]
    pub(super) root: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Show what normalization would remove or rewrite in a tree
#[derive(Debug, Args)]
#[command(after_help = help::NORMALIZE)]
#[command(group(ArgGroup::new("what").args(["list", "check"]).required(true)))]
pub(super) struct Normalize {
    /// List the rules, in the format that --rules reads
    #[arg(long)]
    pub(super) list: bool,
    /// Report which rules would apply to a tree, and what else in it is suspicious; exit with code
    /// 1 if any rule would apply
    #[arg(long, value_name = "ROOTFS")]
    pub(super) check: Option<PathBuf>,
    #[command(flatten)]
    pub(super) normalize_args: NormalizeArgs,
    /// Latest timestamp in the image: seconds since 1970, a date or a time in UTC [default:
    /// $SOURCE_DATE_EPOCH, else the newest in the tree]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "list", help_heading = IDS)]
    pub(super) source_date_epoch: Option<String>,
    /// Print JSON
    #[arg(long, help_heading = OUTPUT)]
    pub(super) json: bool,
}

/// Make a root tree from packages
#[derive(Debug, Args)]
#[command(after_help = help::STAGE, arg_required_else_help = true)]
pub(super) struct Stage {
    #[command(subcommand)]
    pub(super) command: StageCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum StageCommand {
    Pacman(StagePacman),
    Check(StageCheck),
}

/// Make a root tree from Arch Linux packages with pacman, as root or in a user namespace
///
/// In a user namespace, the files of the tree are owned by subordinate ids from /etc/subuid and
/// /etc/subgid. Make the image in the same kind of namespace (unshare --map-root-user --map-auto),
/// or make tree and image at once with detfs build.
#[derive(Debug, Args)]
#[command(after_help = help::STAGE_PACMAN)]
pub(super) struct StagePacman {
    /// Directory to create
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) packages: PackagesArgs,
    /// Record the installed packages in this lock file
    #[arg(long, value_name = "FILE")]
    pub(super) lock: Option<PathBuf>,
    /// Install exactly the packages of the lock file, or fail
    #[arg(long, requires = "lock")]
    pub(super) locked: bool,
    /// Shift the clock that pacman sees, using faketime, for example +400d
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub(super) clock_offset: Option<String>,
}

/// Make a root tree twice and list the paths that differ, each with the rule that normalizes it
///
/// The second tree is made with another clock, number of processors, directory, umask and host
/// name. The exit code is 1 if any path would differ in an image too.
#[derive(Debug, Args)]
#[command(after_help = help::STAGE_CHECK)]
pub(super) struct StageCheck {
    #[command(flatten)]
    pub(super) packages: PackagesArgs,
    #[command(flatten)]
    pub(super) normalize_args: NormalizeArgs,
    /// Print JSON
    #[arg(long, help_heading = OUTPUT)]
    pub(super) json: bool,
}

/// Make an image from packages or a tree, as described by a configuration file
///
/// The file is TOML. The table [stage] holds long options of detfs stage pacman, and [image] holds
/// long options of detfs mkimage. In [image], `out` is the image and, if there is no [stage],
/// `tree` is the tree. The keys seed, seed-string and source-date-epoch come before both tables.
/// Options that can be repeated are arrays. Paths are relative to the file.
///
/// In [image], `definitions` is a directory of repart.d files that define the partitions instead;
/// the tree is their root, normalized as for detfs mkimage.
///
/// If [stage] names a lock that exists and is not empty, or sets locked = true, the tree is made
/// from the packages of the lock. The default epoch is that of the lock or of the snapshot.
///
/// An image that exists is replaced if this build made it: if the GUID of its disk follows from the
/// seed, or is the one in the manifest.
#[derive(Debug, Args)]
#[command(after_help = help::BUILD)]
pub(super) struct Build {
    /// Configuration file
    #[arg(value_name = "CONFIG.toml")]
    pub(super) config: PathBuf,
    /// Recreate the lock with the current packages
    #[arg(long)]
    pub(super) update: bool,
    /// Latest timestamp in the image, if the file has no source-date-epoch
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = IDS)]
    pub(super) source_date_epoch: Option<String>,
    /// Replace all existing files, not only those that this build made, and overwrite devices that
    /// contain data
    #[arg(short, long, help_heading = OUTPUT)]
    pub(super) force: bool,
    /// Don't flush the output to disk: a power failure may lose an image that was reported as
    /// written
    #[arg(long, help_heading = OUTPUT)]
    pub(super) no_sync: bool,
    /// Print the JSON manifest of the image, including its hashes
    #[arg(long, help_heading = OUTPUT)]
    pub(super) json: bool,
    /// Refuse what another host could not reproduce, as detfs mkimage --strict does
    #[arg(long, help_heading = OUTPUT)]
    pub(super) strict: bool,
    /// Plan the image and report its ids, sizes and offsets, but write no file; there are no
    /// hashes. With [stage], the packages are installed in a directory that is removed again
    #[arg(long, help_heading = OUTPUT)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// Make a single file system from a tree, without a partition table
#[derive(Debug, Args)]
#[command(after_help = help::MKFS, arg_required_else_help = true)]
pub(super) struct Mkfs {
    #[command(subcommand)]
    pub(super) format: MkfsFormat,
}

#[derive(Debug, Subcommand)]
pub(super) enum MkfsFormat {
    Ext4(MkfsExt4),
    Btrfs(MkfsBtrfs),
    Erofs(MkfsErofs),
    Squashfs(MkfsSquashfs),
    Vfat(MkfsVfat),
}

/// Make an ext4 file system
#[derive(Debug, Args)]
#[command(after_help = help::MKFS_EXT4)]
pub(super) struct MkfsExt4 {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten)]
    pub(super) uuid: UuidArg,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    #[command(flatten, next_help_heading = FILE_SYSTEM)]
    pub(super) root_fs: RootFsArgs,
    #[command(flatten)]
    pub(super) ext4: Ext4Args,
    #[command(flatten)]
    pub(super) output: MkfsOutput,
}

/// Make a btrfs file system
#[derive(Debug, Args)]
#[command(after_help = help::MKFS_BTRFS)]
pub(super) struct MkfsBtrfs {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten)]
    pub(super) uuid: UuidArg,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    #[command(flatten, next_help_heading = FILE_SYSTEM)]
    pub(super) root_fs: RootFsArgs,
    #[command(flatten)]
    pub(super) compression: CompressionArgs,
    #[command(flatten)]
    pub(super) btrfs: BtrfsArgs,
    #[command(flatten)]
    pub(super) output: MkfsOutput,
}

/// Make an erofs file system, which is read-only
#[derive(Debug, Args)]
#[command(after_help = help::MKFS_EROFS)]
pub(super) struct MkfsErofs {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten)]
    pub(super) uuid: UuidArg,
    #[command(flatten)]
    pub(super) architecture: Architecture,
    /// Label, at most 16 bytes; 15 for kernels before 6.0
    #[arg(long, help_heading = FILE_SYSTEM)]
    pub(super) label: Option<String>,
    #[command(flatten)]
    pub(super) compression: CompressionArgs,
    #[command(flatten)]
    pub(super) erofs: ErofsArgs,
    #[command(flatten)]
    pub(super) output: MkfsOutput,
}

/// Make a squashfs, a compressed file system that is only read
#[derive(Debug, Args)]
#[command(after_help = help::MKFS_SQUASHFS)]
pub(super) struct MkfsSquashfs {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten, next_help_heading = FILE_SYSTEM)]
    pub(super) compress: CompressArg,
    #[command(flatten)]
    pub(super) squashfs: SquashfsArgs,
    #[command(flatten)]
    pub(super) output: MkfsOutput,
}

/// Make a FAT file system: FAT32 where the size allows it, else FAT16 or FAT12
#[derive(Debug, Args)]
#[command(after_help = help::MKFS_VFAT)]
pub(super) struct MkfsVfat {
    #[command(flatten)]
    pub(super) common: MkfsCommon,
    #[command(flatten)]
    pub(super) uuid: UuidArg,
    /// Free space to leave with --size auto, in bytes or percent [default: 0]
    #[arg(long, value_name = "BYTES|PERCENT", help_heading = FILE_SYSTEM)]
    pub(super) headroom: Option<String>,
    /// Sector size of the disk that the file system is for: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value = "512", help_heading = FILE_SYSTEM)]
    pub(super) sector_size: String,
    /// Volume label, at most 11 characters
    #[arg(long, help_heading = FILE_SYSTEM)]
    pub(super) label: Option<String>,
    #[command(flatten)]
    pub(super) output: MkfsOutput,
}

/// Output of a single file system.
#[derive(Debug, Args)]
pub(super) struct MkfsOutput {
    #[command(flatten)]
    pub(super) out: OutArg,
    #[command(flatten)]
    pub(super) output_args: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct MkfsCommon {
    /// Tree: a directory, a tar archive, or - for an archive on standard input
    pub(super) tree: PathBuf,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Size of the file system, or auto for the smallest that leaves the headroom
    #[arg(long, value_name = "auto|BYTES", default_value = "auto", help_heading = FILE_SYSTEM)]
    pub(super) size: String,
}

#[derive(Debug, Args)]
pub(super) struct UuidArg {
    /// UUID of the file system [default: that of the first root partition or ESP of a disk with
    /// this seed]
    #[arg(long, help_heading = IDS)]
    pub(super) uuid: Option<String>,
}
