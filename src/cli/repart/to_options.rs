//! Converts the command-line arguments to options.

use std::path::{Path, PathBuf};

use super::arguments::Repart;
use super::environment::Environment;
use super::json::Json;
use super::mkfs_options;
use crate::cli::signer;
use crate::cli::values::{threads, typed_epoch, uuid};
use crate::error::{Error, Result};
use crate::ext4::{Ext4, Profile};
use crate::fat::Vfat;
use crate::formats::Formats;
use crate::gpt::{Architecture, PartitionType, SectorSize};
use crate::repart::config::values::{self, boolean};
use crate::repart::config::{Compat, Context, HostInfo, Overrides};
use crate::repart::el_torito::ElTorito;
use crate::repart::{Append, Ddi, Deferred, Empty, Filter, Generated, Options, Size, machine_id};
use crate::seed::Seed;
use crate::verity::signature::{Certificate, Joined, Origin, PrivateKey, Signature};

/// Parses a boolean; returns `default` for a missing or empty value.
pub(super) fn flag(parameter: &'static str, args: Option<&str>, default: bool) -> Result<bool> {
    let Some(text) = args.filter(|text| !text.is_empty()) else { return Ok(default) };
    boolean(text).ok_or_else(|| {
        Error::parameter(parameter, format!("{text:?} is not a boolean"), "give yes or no")
    })
}

fn one_of<T: Copy>(
    parameter: &'static str,
    args: Option<&str>,
    default: T,
    all: &[(&str, T)],
) -> Result<T> {
    let Some(text) = args.filter(|text| !text.is_empty()) else { return Ok(default) };
    let found = all.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        let remedy = format!("use one of {}", names.join(", "));
        Error::parameter(parameter, format!("unknown value {text:?}"), remedy)
    })
}

pub(super) fn json(args: Option<&str>) -> Result<Json> {
    let all = [("off", Json::Off), ("short", Json::Short), ("pretty", Json::Pretty)];
    one_of("--json", args, Json::Off, &all)
}

/// Returns the image type whose built-in definitions are requested, if any.
pub(super) fn ddi(args: &Repart) -> Result<Option<Ddi>> {
    let all = [("sysext", Ddi::Sysext), ("confext", Ddi::Confext), ("portable", Ddi::Portable)];
    let letters = [args.sysext, args.confext, args.portable];
    match letters.iter().position(|&given| given) {
        Some(at) => Ok(Some(all[at].1)),
        None => {
            let all = all.map(|(name, ddi)| (name, Some(ddi)));
            one_of("--make-ddi", args.make_ddi.as_deref(), None, &all)
        }
    }
}

/// Returns a path; `None` for an empty one.
fn path(args: Option<&PathBuf>) -> Option<&PathBuf> {
    args.filter(|path| !path.as_os_str().is_empty())
}

/// Returns the root directory.
pub(super) fn root(args: &Repart) -> &Path {
    path(args.root.as_ref()).map_or(Path::new("/"), PathBuf::as_path)
}

fn bytes(parameter: &'static str, text: &str) -> Result<u64> {
    values::size(text).ok_or_else(|| {
        Error::parameter(
            parameter,
            format!("{text:?} is not a size"),
            "give a number of bytes, or a number with the suffix K, M, G or T",
        )
    })
}

/// Parses comma-separated lists of types.
fn types(
    parameter: &'static str,
    args: &[String],
    context: &Context,
) -> Result<Vec<PartitionType>> {
    let names = args.iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
    names
        .map(|name| {
            context.partition_type(name).ok_or_else(|| {
                Error::parameter(
                    parameter,
                    format!("unknown partition type {name:?}"),
                    "give a name such as esp or root-x86-64, or a UUID",
                )
            })
        })
        .collect()
}

fn filter(args: &Repart, context: &Context) -> Result<Filter> {
    let include = types("--include-partitions", &args.include_partitions, context)?;
    let exclude = types("--exclude-partitions", &args.exclude_partitions, context)?;
    match (include.is_empty(), exclude.is_empty()) {
        (false, false) => Err(Error::parameter(
            "--include-partitions",
            "conflicts with --exclude-partitions",
            "give only one of them",
        )),
        (false, true) => Ok(Filter::Include(include)),
        (true, false) => Ok(Filter::Exclude(exclude)),
        (true, true) => Ok(Filter::All),
    }
}

/// Returns the inputs for reading definitions.
pub(super) fn context(args: &Repart, environment: &Environment) -> Result<Context> {
    let given = args.architecture.as_deref().filter(|text| !text.is_empty());
    let architecture = given.map(|text| {
        values::architecture(text).ok_or_else(|| {
            Error::parameter(
                "--architecture",
                format!("unknown architecture {text:?}"),
                "give an architecture known to systemd, such as x86-64 or arm64",
            )
        })
    });
    let mut context = Context {
        root: path(args.root.as_ref()).cloned(),
        native: native()?,
        architecture: architecture.transpose()?,
        host: host(),
        formats: Formats::default()
            .with(Ext4 { profile: environment.ext4.unwrap_or(Profile::Modern), ..Ext4::default() })
            .with(mkfs_options::erofs(&environment.erofs)?)
            .with(mkfs_options::squashfs(&environment.squashfs)?)
            .with(Vfat {
                sector_size: environment.vfat_sector_size.map(SectorSize::bytes),
                ..Vfat::default()
            }),
        overrides: Overrides {
            all: environment.format.clone(),
            designators: environment.formats.clone(),
        },
        filter: Filter::All,
        compat: Compat { grow: environment.grow, flags: environment.flags },
    };
    context.filter = filter(args, &context)?;
    Ok(context)
}

/// Returns the values of host specifiers, as far as they can be read.
fn host() -> HostInfo {
    let read = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim_end_matches('\n').to_owned())
    };
    HostInfo {
        boot_id: read("/proc/sys/kernel/random/boot_id").map(|id| id.replace('-', "")),
        name: read("/proc/sys/kernel/hostname"),
        pretty_name: read("/proc/sys/kernel/hostname"),
        kernel: read("/proc/sys/kernel/osrelease"),
    }
}

/// Returns the architecture of this program.
fn native() -> Result<Architecture> {
    values::architecture(std::env::consts::ARCH).ok_or_else(|| {
        Error::parameter(
            "--architecture",
            format!("{} has no partition types", std::env::consts::ARCH),
            "give the architecture of the image",
        )
    })
}

fn empty(args: &Repart, ddi: Option<Ddi>) -> Result<Empty> {
    let all = [
        ("refuse", Empty::Refuse),
        ("allow", Empty::Allow),
        ("require", Empty::Require),
        ("force", Empty::Force),
        ("create", Empty::Create),
    ];
    let default = if ddi.is_some() { Empty::Create } else { Empty::Refuse };
    one_of("--empty", args.empty.as_deref(), default, &all)
}

fn size(args: &Repart, ddi: Option<Ddi>) -> Result<Size> {
    match args.size.as_deref() {
        None | Some("") if ddi.is_some() => Ok(Size::Auto),
        None | Some("") => Ok(Size::Keep),
        Some("auto") => Ok(Size::Auto),
        Some(text) => match bytes("--size", text)? {
            0 => Err(Error::parameter("--size", "size is 0", "give at least one sector, or auto")),
            bytes => Ok(Size::Bytes(bytes)),
        },
    }
}

/// Returns the seed: `--seed`, or else the machine ID of the root.
fn seed(args: &Repart) -> Result<Option<Seed>> {
    match args.seed.as_deref() {
        // A random seed could not be reproduced, so the seed is derived from the content.
        Some("random") => Ok(None),
        Some(text) if !text.is_empty() => uuid("--seed", text).map(Seed).map(Some),
        _ => Ok(machine_id(root(args))?.map(Seed)),
    }
}

/// Rejects key and certificate sources other than a file.
fn from_file(parameter: &'static str, args: Option<&str>) -> Result<()> {
    match args {
        None | Some("" | "file") => Ok(()),
        Some(other) => Err(Error::parameter(
            parameter,
            format!("source {other:?} is not supported"),
            "give a file, or sign the root hash elsewhere and use --join-signature",
        )),
    }
}

fn signer_of(args: &Repart) -> Result<Option<(PrivateKey, Certificate)>> {
    from_file("--private-key-source", args.private_key_source.as_deref())?;
    from_file("--certificate-source", args.certificate_source.as_deref())?;
    signer::signer(
        path(args.private_key.as_ref()).map(PathBuf::as_path),
        path(args.certificate.as_ref()).map(PathBuf::as_path),
    )
}

fn joined(args: &Repart) -> Result<Vec<Signature>> {
    if args.join_signature.is_empty() {
        return Ok(Vec::new());
    }
    let Some(certificate) = path(args.certificate.as_ref()) else {
        return Err(Error::parameter(
            "--join-signature",
            "the certificate of the signature is missing",
            "give --certificate=",
        ));
    };
    let certificate = Certificate::from_pem(&signer::file("--certificate", certificate)?)?;
    let one = |text: &String| {
        let Joined { root_hash, origin } = text.parse()?;
        let pkcs7 = match origin {
            Origin::File(path) => signer::file("--join-signature", &path)?,
            Origin::Argument(pkcs7) => pkcs7,
        };
        Signature::join(root_hash, pkcs7, &certificate)
    };
    args.join_signature.iter().map(one).collect()
}

fn generated(args: &Repart) -> Result<Option<Generated>> {
    let all = [("no", Append::No), ("auto", Append::Auto), ("replace", Append::Replace)];
    let append = match args.append_fstab.as_deref() {
        None => Append::No,
        Some("") => Append::Auto,
        given => one_of("--append-fstab", given, Append::Auto, &all)?,
    };
    match path(args.generate_fstab.as_ref()) {
        Some(path) => Ok(Some(Generated { path: path.clone(), append })),
        None if args.append_fstab.is_some() => Err(Error::parameter(
            "--append-fstab",
            "no fstab is generated",
            "give --generate-fstab=",
        )),
        None => Ok(None),
    }
}

fn el_torito(args: &Repart) -> Result<Option<ElTorito>> {
    if !flag("--el-torito", args.el_torito.as_deref(), false)? {
        return Ok(None);
    }
    let text = |args: &Option<String>| args.clone().unwrap_or_default();
    ElTorito::new(
        &text(&args.el_torito_system),
        &text(&args.el_torito_volume),
        &text(&args.el_torito_publisher),
    )
    .map(Some)
}

/// Returns the path of the image; `None` for an empty path and `-`.
pub(super) fn image(args: &Repart) -> Option<PathBuf> {
    let image = path(args.image.as_ref())?;
    (image.as_os_str() != "-").then(|| image.clone())
}

pub(super) fn options(
    args: &Repart,
    environment: &Environment,
    context: &Context,
) -> Result<Options> {
    let ddi = ddi(args)?;
    let empty = empty(args, ddi)?;
    let dry_run = args.n || flag("--dry-run", args.dry_run.as_deref(), true)?;
    if ddi.is_some() && path(args.copy_source.as_ref()).is_none() {
        return Err(Error::parameter(
            "--make-ddi",
            "no source to make the image from",
            "give --copy-source=",
        ));
    }
    let sector_size = args.sector_size.as_deref().filter(|text| !text.is_empty());
    let sector_size = sector_size.map(|text| {
        let bytes = bytes("--sector-size", text)?;
        u32::try_from(bytes).map_or_else(|_| SectorSize::new(u32::MAX), SectorSize::new)
    });
    let grain = args.grain_size.as_deref().filter(|text| !text.is_empty());
    let grain = grain.map(|text| match bytes("--grain-size", text)? {
        grain if grain.is_power_of_two() && grain >= 512 => Ok(grain),
        _ => Err(Error::parameter(
            "--grain-size",
            format!("{text:?} is not a power of two of at least 512"),
            "use a power of two such as 1M",
        )),
    });
    let deferred = Deferred {
        types: types("--defer-partitions", &args.defer_partitions, context)?,
        empty: flag("--defer-partitions-empty", args.defer_partitions_empty.as_deref(), false)?,
        factory_reset: flag(
            "--defer-partitions-factory-reset",
            args.defer_partitions_factory_reset.as_deref(),
            false,
        )?,
    };
    let split = flag("--split", args.split.as_deref(), false)?;
    let image = image(args);
    if split && image.is_none() {
        return Err(Error::parameter("--split", "no image to split", "give the path of the image"));
    }
    let epoch = args.source_date_epoch.as_deref().filter(|text| !text.is_empty());
    let epoch = epoch.map(typed_epoch).transpose()?;
    Ok(Options {
        image,
        empty,
        // `--empty=create` always writes the image: a new image that is not written would not
        // exist.
        dry_run: dry_run && empty != Empty::Create,
        size: size(args, ddi)?,
        seed: if ddi.is_some() && args.seed.is_none() { None } else { seed(args)? },
        root: path(args.root.as_ref()).cloned(),
        copy_source: path(args.copy_source.as_ref()).cloned(),
        tree: None,
        replace: false,
        sector_size: sector_size.transpose()?,
        grain: grain.transpose()?,
        deferred,
        split,
        signer: signer_of(args)?,
        joined: joined(args)?,
        fstab: generated(args)?,
        crypttab: path(args.generate_crypttab.as_ref()).cloned(),
        el_torito: el_torito(args)?,
        epoch: epoch.or(environment.epoch),
        discard: flag("--discard", args.discard.as_deref(), true)?,
        sync: !environment.no_sync,
        hard_links: environment.hard_links,
        excludes_by_inode: environment.excludes,
        vfat_leaves_out: environment.vfat,
        threads: threads(None)?,
        spool: environment.spool.clone(),
    })
}
