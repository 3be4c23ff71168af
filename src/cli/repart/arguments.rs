//! Command-line arguments of `detfs repart`: the options of systemd-repart.
//!
//! Values are stored as text and parsed in `to_options`. An empty value resets most options, and
//! the last value counts.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::cli::help;

/// Returns a parser that accepts any path, including an empty one.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Make or extend a disk image from repart.d definitions, as systemd-repart does
///
/// The options are those of systemd-repart. If detfs is run under the name systemd-repart, it takes
/// them without the word "repart". Options that need a device, a TPM or the kernel are refused.
#[derive(Debug, Args)]
#[command(after_help = help::REPART)]
#[command(disable_version_flag = true, args_override_self = true, infer_long_args = true)]
pub(crate) struct Repart {
    /// Image file; if omitted or -, only print the size that it would have
    #[arg(value_parser = path(), value_name = "IMAGE")]
    pub(super) image: Option<PathBuf>,
    /// Print the version of systemd-repart that detfs is compatible with
    #[arg(long)]
    pub(super) version: bool,
    /// Accepted and ignored: no pager is used
    #[arg(long)]
    pub(super) no_pager: bool,
    /// Print the table without header and footer
    #[arg(long)]
    pub(super) no_legend: bool,

    /// Same as --dry-run=yes
    #[arg(short = 'n', overrides_with = "dry_run", help_heading = "Operation")]
    pub(super) n: bool,
    /// Whether to leave the image unchanged [default: yes, unless --empty=create]
    #[arg(long, value_name = "BOOL", overrides_with = "n", help_heading = "Operation")]
    pub(super) dry_run: Option<String>,
    /// How to treat an image without a partition table
    #[arg(long, value_name = "refuse|allow|require|force|create", help_heading = "Operation")]
    pub(super) empty: Option<String>,
    /// Accepted and ignored: images are always built without loop devices
    #[arg(long, value_name = "BOOL|auto", help_heading = "Operation")]
    pub(super) offline: Option<String>,
    /// Whether to discard unused parts of the image, so that they take no space
    #[arg(long, value_name = "BOOL", help_heading = "Operation")]
    pub(super) discard: Option<String>,
    /// Accepted and ignored: files are created with the defaults of their file system
    #[arg(long, value_name = "BOOL|auto", help_heading = "Operation")]
    pub(super) cow: Option<String>,
    /// Sector size: 512, 1024, 2048 or 4096
    #[arg(long, value_name = "BYTES", help_heading = "Operation")]
    pub(super) sector_size: Option<String>,
    /// Alignment of partitions
    #[arg(long, value_name = "BYTES", help_heading = "Operation")]
    pub(super) grain_size: Option<String>,
    /// Architecture of partition types that don't name one
    #[arg(long, value_name = "ARCH", help_heading = "Operation")]
    pub(super) architecture: Option<String>,
    /// Grow the image to this size, or with auto to the smallest size that fits all partitions
    #[arg(long, value_name = "BYTES|auto", help_heading = "Operation")]
    pub(super) size: Option<String>,
    /// Seed for all UUIDs [default: the machine ID of the root, else derived from the content]
    #[arg(long, value_name = "UUID|random", help_heading = "Operation")]
    pub(super) seed: Option<String>,
    /// Latest timestamp in the image: seconds since 1970, a date or a time in UTC [default:
    /// $SOURCE_DATE_EPOCH, else the newest in the sources]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "Operation")]
    pub(super) source_date_epoch: Option<String>,
    /// Whether to write a file for each partition
    #[arg(long, value_name = "BOOL", help_heading = "Operation")]
    pub(super) split: Option<String>,

    /// Whether to print the table of partitions [default: yes]
    #[arg(long, value_name = "BOOL", help_heading = "Output")]
    pub(super) pretty: Option<String>,
    /// Print the partitions as JSON
    #[arg(long, value_name = "pretty|short|off", help_heading = "Output")]
    pub(super) json: Option<String>,

    /// Root directory for definitions, specifiers and sources
    #[arg(value_parser = path(), long, value_name = "PATH", help_heading = "Sources")]
    pub(super) root: Option<PathBuf>,
    /// Directory of definitions
    #[arg(value_parser = path(), long, value_name = "DIR", help_heading = "Sources")]
    pub(super) definitions: Vec<PathBuf>,
    /// Tree to copy files from [default: that of --root]
    #[arg(value_parser = path(), short = 's', long, value_name = "PATH", help_heading = "Sources")]
    pub(super) copy_source: Option<PathBuf>,
    /// Image to copy all partitions from
    #[arg(value_parser = path(), long, value_name = "IMAGE", help_heading = "Sources")]
    pub(super) copy_from: Vec<PathBuf>,
    /// Make an image of this kind, using its built-in definitions
    #[arg(long, value_name = "sysext|confext|portable", help_heading = "Sources")]
    pub(super) make_ddi: Option<String>,
    /// Same as --make-ddi=sysext
    #[arg(short = 'S', overrides_with_all = ["make_ddi", "confext", "portable"], help_heading = "Sources")]
    pub(super) sysext: bool,
    /// Same as --make-ddi=confext
    #[arg(short = 'C', overrides_with_all = ["make_ddi", "sysext", "portable"], help_heading = "Sources")]
    pub(super) confext: bool,
    /// Same as --make-ddi=portable
    #[arg(short = 'P', overrides_with_all = ["make_ddi", "sysext", "confext"], help_heading = "Sources")]
    pub(super) portable: bool,

    /// Exclude all partitions except those of these types
    #[arg(long, value_name = "TYPE,...", help_heading = "Partitions")]
    pub(super) include_partitions: Vec<String>,
    /// Exclude partitions of these types
    #[arg(long, value_name = "TYPE,...", help_heading = "Partitions")]
    pub(super) exclude_partitions: Vec<String>,
    /// Only reserve space for partitions of these types, for a later run to create them
    #[arg(long, value_name = "TYPE,...", help_heading = "Partitions")]
    pub(super) defer_partitions: Vec<String>,
    /// Likewise for partitions with Format=empty
    #[arg(long, value_name = "BOOL", help_heading = "Partitions")]
    pub(super) defer_partitions_empty: Option<String>,
    /// Likewise for partitions with FactoryReset=yes
    #[arg(long, value_name = "BOOL", help_heading = "Partitions")]
    pub(super) defer_partitions_factory_reset: Option<String>,

    /// Private key for signing root hashes, as PEM: RSA, or ECDSA with P-256 or P-384
    #[arg(value_parser = path(), long, value_name = "PATH", help_heading = "Verity")]
    pub(super) private_key: Option<PathBuf>,
    /// Source of the private key: file
    #[arg(long, value_name = "SOURCE", help_heading = "Verity")]
    pub(super) private_key_source: Option<String>,
    /// Certificate of the private key, as PEM
    #[arg(value_parser = path(), long, value_name = "PATH", help_heading = "Verity")]
    pub(super) certificate: Option<PathBuf>,
    /// Source of the certificate: file
    #[arg(long, value_name = "SOURCE", help_heading = "Verity")]
    pub(super) certificate_source: Option<String>,
    /// Root hash and its signature, created elsewhere
    #[arg(long, value_name = "HASH:SIG", help_heading = "Verity")]
    pub(super) join_signature: Vec<String>,

    /// Write an fstab for the MountPoint= settings to this path in the tree that files are copied
    /// from
    #[arg(value_parser = path(), long, value_name = "PATH", help_heading = "Generated files")]
    pub(super) generate_fstab: Option<PathBuf>,
    /// How to treat an existing fstab
    #[arg(long, value_name = "no|auto|replace", help_heading = "Generated files")]
    pub(super) append_fstab: Option<String>,
    /// Write a crypttab for the EncryptedVolume= settings to this path
    #[arg(value_parser = path(), long, value_name = "PATH", help_heading = "Generated files")]
    pub(super) generate_crypttab: Option<PathBuf>,

    /// Whether to add an El Torito boot catalog that boots from the ESP
    #[arg(long, value_name = "BOOL", help_heading = "El Torito")]
    pub(super) el_torito: Option<String>,
    /// System identifier
    #[arg(long, value_name = "TEXT", help_heading = "El Torito")]
    pub(super) el_torito_system: Option<String>,
    /// Volume identifier
    #[arg(long, value_name = "TEXT", help_heading = "El Torito")]
    pub(super) el_torito_volume: Option<String>,
    /// Publisher identifier
    #[arg(long, value_name = "TEXT", help_heading = "El Torito")]
    pub(super) el_torito_publisher: Option<String>,

    #[command(flatten)]
    pub(super) unused: Unused,
}

/// Options for a running system or for encryption.
#[derive(Debug, Args)]
pub(super) struct Unused {
    /// Accepted and ignored, because nothing is encrypted
    #[arg(value_parser = path(), long, value_name = "PATH", help_heading = "Not for images")]
    pub(super) key_file: Option<PathBuf>,
    /// Print nothing
    #[arg(long, help_heading = "Not for images")]
    pub(super) list_devices: bool,
    /// Refused, except for no
    #[arg(long, value_name = "BOOL", help_heading = "Not for images")]
    pub(super) factory_reset: Option<String>,
    /// Refused
    #[arg(long, help_heading = "Not for images")]
    pub(super) can_factory_reset: bool,
    /// Refused
    #[arg(value_parser = path(), long = "image", value_name = "PATH", help_heading = "Not for images")]
    pub(super) mounted: Option<PathBuf>,
    /// Refused
    #[arg(long, value_name = "POLICY", help_heading = "Not for images")]
    pub(super) image_policy: Option<String>,
    /// Refused
    #[arg(long, value_name = "PATH", help_heading = "Not for images")]
    pub(super) tpm2_device: Option<String>,
    /// Refused
    #[arg(long, value_name = "PATH", help_heading = "Not for images")]
    pub(super) tpm2_device_key: Option<String>,
    /// Refused
    #[arg(long, value_name = "HANDLE", help_heading = "Not for images")]
    pub(super) tpm2_seal_key_handle: Option<String>,
    /// Refused
    #[arg(long, value_name = "PCRS", help_heading = "Not for images")]
    pub(super) tpm2_pcrs: Option<String>,
    /// Refused
    #[arg(long, value_name = "PATH", help_heading = "Not for images")]
    pub(super) tpm2_public_key: Option<String>,
    /// Refused
    #[arg(long, value_name = "PCRS", help_heading = "Not for images")]
    pub(super) tpm2_public_key_pcrs: Option<String>,
    /// Refused
    #[arg(long, value_name = "STRING", help_heading = "Not for images")]
    pub(super) tpm2_public_key_policyref: Option<String>,
    /// Refused
    #[arg(long, value_name = "PATH", help_heading = "Not for images")]
    pub(super) tpm2_pcrlock: Option<String>,
}

impl Unused {
    /// Returns the first of these options that requests something.
    pub(super) fn wanted(&self) -> Option<&'static str> {
        let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        [
            ("--can-factory-reset", self.can_factory_reset),
            ("--image", self.mounted.is_some()),
            ("--image-policy", given(&self.image_policy)),
            ("--tpm2-device", given(&self.tpm2_device)),
            ("--tpm2-device-key", given(&self.tpm2_device_key)),
            ("--tpm2-seal-key-handle", given(&self.tpm2_seal_key_handle)),
            ("--tpm2-pcrs", given(&self.tpm2_pcrs)),
            ("--tpm2-public-key", given(&self.tpm2_public_key)),
            ("--tpm2-public-key-pcrs", given(&self.tpm2_public_key_pcrs)),
            ("--tpm2-public-key-policyref", given(&self.tpm2_public_key_policyref)),
            ("--tpm2-pcrlock", given(&self.tpm2_pcrlock)),
        ]
        .into_iter()
        .find_map(|(option, wanted)| wanted.then_some(option))
    }
}
