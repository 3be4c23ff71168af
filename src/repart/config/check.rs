//! Checks that the settings of a definition are consistent, and resolves its defaults.

use std::sync::Arc;

use super::context::Context;
use super::draft::Draft;
use super::location::Location;
use crate::error::{Error, Result};
use crate::format::Holds;
use crate::gpt::{Attributes, PartitionType, Role};
use crate::repart::{Definition, Minimize, PartitionFormat, Verity};
use crate::report::Warning;

/// Resolves all definitions that the filter selects.
pub(super) fn resolve_all(
    drafts: Vec<Draft>,
    context: &Context,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Definition>> {
    let mut definitions = Vec::new();
    for draft in drafts {
        // A definition that the filter excludes may contain errors, as long as its type is known.
        if draft.typed && !context.filter.takes(draft.definition.partition.partition_type) {
            continue;
        }
        definitions.push(resolve(draft, context, warnings)?);
    }
    Ok(definitions)
}

/// Resolves the defaults of a definition and checks it.
fn resolve(mut draft: Draft, context: &Context, warnings: &mut Vec<Warning>) -> Result<Definition> {
    let file = draft.file.clone();
    let at = Location { file: &file, line: 0 };
    if !draft.typed {
        return Err(at.error("Type= is missing", "give the type of the partition"));
    }
    let partition_type = draft.definition.partition.partition_type;
    let format = format(&draft, context);
    let one = &mut draft.definition;
    let populated = !one.copy_files.is_empty()
        || !one.make_directories.is_empty()
        || !one.make_symlinks.is_empty();
    let filled = populated || draft.add_validate_fs == Some(true);
    one.format = match format {
        Some(name) => Some(by_name(&name, context)),
        None if partition_type == PartitionType::Swap && one.copy_blocks.is_none() => {
            Some(PartitionFormat::Swap)
        }
        None if filled || one.encrypt.is_some() && one.copy_blocks.is_none() => {
            match partition_type {
                PartitionType::Esp | PartitionType::Xbootldr => Some(by_name("vfat", context)),
                _ => Some(by_name("ext4", context)),
            }
        }
        None => None,
    };
    one.add_validate_fs = draft.add_validate_fs.unwrap_or(match &one.format {
        Some(PartitionFormat::FileSystem(format)) => format.holds().contains(Holds::UNIX),
        Some(PartitionFormat::Other(_)) => true,
        None | Some(PartitionFormat::Swap | PartitionFormat::Empty) => false,
    });
    check_content(one, populated)?;
    check_sizes(one)?;
    if is_empty(one) && one.partition.label.is_none() {
        one.partition.label = Some("_empty".to_owned());
    }
    let attributes = attributes(&draft, context, warnings);
    draft.definition.partition.attributes = Some(attributes);
    Ok(draft.definition)
}

/// Returns the format given by `Format=` or by the environment, which takes precedence.
fn format(draft: &Draft, context: &Context) -> Option<String> {
    let overrides = &context.overrides;
    let given = draft.format.as_ref().map(|given| overrides.all.as_ref().unwrap_or(given));
    let designator = designator(draft.definition.partition.partition_type);
    designator.and_then(|name| overrides.designators.get(name)).or(given).cloned()
}

/// Returns the designator of a partition type, as used in environment variables.
pub(in crate::repart) fn designator(partition_type: PartitionType) -> Option<&'static str> {
    Some(match partition_type {
        PartitionType::Of(Role::Root, _) => "root",
        PartitionType::Of(Role::Usr, _) => "usr",
        PartitionType::Home => "home",
        PartitionType::Srv => "srv",
        PartitionType::Esp => "esp",
        PartitionType::Xbootldr => "xbootldr",
        PartitionType::Tmp => "tmp",
        PartitionType::Var => "var",
        _ => return None,
    })
}

fn by_name(name: &str, context: &Context) -> PartitionFormat {
    match (name, context.formats.find(name)) {
        ("swap", _) => PartitionFormat::Swap,
        ("empty", _) => PartitionFormat::Empty,
        (_, Some(format)) => PartitionFormat::FileSystem(Arc::clone(format)),
        (other, None) => PartitionFormat::Other(other.to_owned()),
    }
}

fn is_empty(definition: &Definition) -> bool {
    matches!(definition.format, Some(PartitionFormat::Empty))
}

/// Settings that put files into a file system.
const FILES: &[&str] = &["CopyFiles", "MakeDirectories", "MakeSymlinks"];

type SettingError<'a> = &'a dyn Fn(&[&str], &str, &str) -> Error;

fn check_content(one: &Definition, populated: bool) -> Result<()> {
    let fault: SettingError<'_> = &|settings, rule, remedy| one.fault(settings, rule, remedy);
    let copied = one.copy_blocks.is_some();
    if copied && (populated || one.format.is_some()) {
        return Err(fault(
            &["CopyBlocks"],
            "CopyBlocks= conflicts with Format=, CopyFiles=, MakeDirectories= and MakeSymlinks=",
            "remove CopyBlocks=, or all of the others",
        ));
    }
    if is_empty(one) && populated {
        return Err(fault(
            FILES,
            "a partition that is kept empty holds no files",
            "leave CopyFiles= and the like out, or give another Format=",
        ));
    }
    let read_only = one.format.as_ref().is_some_and(PartitionFormat::is_read_only);
    if matches!(one.format, Some(PartitionFormat::Swap)) && populated {
        return Err(fault(FILES, "swap space holds no files", "leave CopyFiles= and the like out"));
    }
    if read_only
        && one.copy_files.is_empty()
        && one.make_directories.is_empty()
        && one.make_symlinks.is_empty()
    {
        return Err(fault(&["Format"], "a read-only file system needs content", "give CopyFiles="));
    }
    if matches!(one.verity, Verity::Hash | Verity::Signature) {
        if populated || one.format.is_some() || copied {
            return Err(fault(
                &[&["Format", "CopyBlocks"], FILES].concat(),
                "a partition for a hash tree or signature has no content of its own",
                "leave Format=, CopyFiles= and the like out",
            ));
        }
        if one.encrypt.is_some() {
            return Err(fault(
                &["Encrypt"],
                "a partition for a hash tree or signature can't be encrypted",
                "leave Encrypt= out",
            ));
        }
    }
    if one.minimize != Minimize::Off && one.format.is_none() && one.verity != Verity::Hash {
        return Err(fault(
            &["Minimize"],
            "Minimize= needs Format= or Verity=hash",
            "set one of them, or leave Minimize= out",
        ));
    }
    if let Some(default) = &one.default_subvolume
        && !one.subvolumes.iter().any(|subvolume| subvolume.path == *default)
    {
        return Err(fault(
            &["DefaultSubvolume"],
            "DefaultSubvolume= is not in Subvolumes=",
            "add it to Subvolumes=",
        ));
    }
    match (one.verity, &one.verity_match_key) {
        (Verity::Off, Some(_)) => Err(fault(
            &["VerityMatchKey"],
            "VerityMatchKey= is given without Verity=",
            "give Verity=, or leave the key out",
        )),
        (Verity::Data | Verity::Hash | Verity::Signature, None) => Err(fault(
            &["Verity"],
            "Verity= is given without VerityMatchKey=",
            "give the partitions of one hash tree the same key",
        )),
        _ => Ok(()),
    }
}

fn check_sizes(one: &Definition) -> Result<()> {
    let policy = &one.partition.size;
    if one.verity == Verity::Signature && (policy.size_min.is_some() || policy.size_max.is_some()) {
        return Err(one.fault(
            &["SizeMinBytes", "SizeMaxBytes"],
            "the size of a signature partition can't be set",
            "leave SizeMinBytes= and SizeMaxBytes= out",
        ));
    }
    let above = |min: Option<u64>, max: Option<u64>| match (min, max) {
        (Some(min), Some(max)) => min > max,
        _ => false,
    };
    if above(policy.size_min, policy.size_max) {
        return Err(one.fault(
            &["SizeMinBytes"],
            "SizeMinBytes= is larger than SizeMaxBytes=",
            "swap them",
        ));
    }
    if above(Some(policy.padding_min), policy.padding_max) {
        return Err(one.fault(
            &["PaddingMinBytes"],
            "PaddingMinBytes= is larger than PaddingMaxBytes=",
            "swap them",
        ));
    }
    Ok(())
}

/// Returns the attributes of the table entry.
fn attributes(draft: &Draft, context: &Context, warnings: &mut Vec<Warning>) -> Attributes {
    let Draft { definition, flags, no_auto, read_only, grow, .. } = draft;
    let partition_type = definition.partition.partition_type;
    let supported = Supported::by(partition_type);
    let no_auto = no_auto.or(is_empty(definition).then_some(true));
    let of_verity = matches!(definition.verity, Verity::Data | Verity::Signature);
    let read_only = read_only.or((supported.hash || of_verity).then_some(true));
    let writable = read_only != Some(true);
    let grow = match grow {
        Some(false) if context.compat.grow && writable => None,
        grow => *grow,
    };
    let grow = grow.or((supported.grow && writable).then_some(true));
    let mut attributes = Attributes::from_bits_retain(*flags);
    let mut set = |name: &str, bit: Attributes, supported: bool, wanted: Option<bool>, given| {
        if supported {
            if let Some(wanted) = wanted {
                attributes.set(bit, wanted);
            }
        } else if given {
            let name_of = partition_type.name();
            let (file, line) = definition.location(&[name]);
            let at = Location { file, line };
            warnings.push(at.warning(format!("{name}= has no effect on {name_of}; ignored")));
        }
    };
    let given = |one: Option<bool>| one == Some(true);
    set("NoAuto", Attributes::NO_AUTO, supported.no_auto, no_auto, given(draft.no_auto));
    set("ReadOnly", Attributes::READ_ONLY, supported.read_only, read_only, given(draft.read_only));
    set("GrowFileSystem", Attributes::GROWFS, supported.grow, grow, given(draft.grow));
    if context.compat.flags && attributes.bits() & ((1 << 48) - 1) != 0 {
        return Attributes::empty();
    }
    attributes
}

/// Attributes that a partition type supports.
struct Supported {
    no_auto: bool,
    read_only: bool,
    grow: bool,
    /// Whether the type is that of a hash tree or a signature.
    hash: bool,
}

impl Supported {
    fn by(partition_type: PartitionType) -> Self {
        use PartitionType as T;
        let mounted = matches!(
            partition_type,
            T::Of(Role::Root | Role::Usr, _) | T::Home | T::Srv | T::Var | T::Tmp | T::Xbootldr
        );
        let tree = matches!(partition_type, T::Of(Role::RootVerity | Role::UsrVerity, _));
        let signature =
            matches!(partition_type, T::Of(Role::RootVeritySig | Role::UsrVeritySig, _));
        Self {
            no_auto: mounted || tree || partition_type == T::Swap,
            read_only: mounted || tree || signature,
            grow: mounted,
            hash: tree || signature,
        }
    }
}
