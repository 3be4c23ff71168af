//! `detfs ids`: the ids of an image, which depend on the seed and the partitions alone.

use std::ffi::OsString;
use std::fmt::Write;

use serde::Serialize;
use uuid::Uuid;

use super::arguments::{Architecture, Ids};
use super::{print, print_json, repart, values};
use crate::disk::{Definition, Identity, identify};
use crate::error::{Error, Result};
use crate::fat::Vfat;
use crate::format::Format;
use crate::gpt::PartitionType;
use crate::seed::Seed;

/// Number of the schema of the record.
const SCHEMA: u32 = 1;

/// JSON record of the ids, with the names of a manifest.
#[derive(Serialize)]
struct IdsRecord {
    schema: u32,
    seed: String,
    partition_table: TableRecord,
}

#[derive(Serialize)]
struct TableRecord {
    label: &'static str,
    uuid: String,
    partitions: Vec<PartitionRecord>,
}

#[derive(Serialize)]
struct PartitionRecord {
    name: String,
    r#type: String,
    /// UUID of the partition. `None` if it is half of a root hash of dm-verity.
    uuid: Option<String>,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_system: Option<FsRecord>,
    /// File of the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

#[derive(Serialize)]
struct FsRecord {
    /// Format. `None` if any format has the same id.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    /// Id. `None` if the format has none.
    uuid: Option<String>,
}

pub(super) fn run(args: &Ids) -> Result<()> {
    let seed = values::seed(&args.seed_args)?.ok_or_else(|| {
        Error::parameter("--seed", "missing, and there is no tree to derive it from", "give one")
    })?;
    let partitions = match args.definitions {
        Some(_) => defined(args, seed)?,
        None => built_in(args, seed)?,
    };
    let table = TableRecord { label: "gpt", uuid: seed.disk().to_string(), partitions };
    let record = IdsRecord { schema: SCHEMA, seed: seed.0.to_string(), partition_table: table };
    match args.json {
        true => print_json(&record),
        false => print(&text(&record.partition_table)),
    }
}

/// Returns all partitions that `detfs mkimage` can create, each the first of its type.
fn built_in(args: &Ids, seed: Seed) -> Result<Vec<PartitionRecord>> {
    let architecture = Architecture { architecture: args.architecture.clone() };
    let architecture = values::architecture(&architecture)?;
    let root = architecture.map(PartitionType::root);
    let types = [PartitionType::BiosBoot, PartitionType::Esp, PartitionType::Xbootldr];
    let definitions: Vec<_> = types.into_iter().chain(root).map(Definition::new).collect();
    let records = identify(seed, &definitions).into_iter().map(|identity| {
        let file_system = match identity.partition_type {
            PartitionType::BiosBoot => None,
            PartitionType::Esp | PartitionType::Xbootldr => {
                let vfat = Vfat::default();
                Some((Some(vfat.name()), vfat.id(identity.file_system)))
            }
            _ => Some((None, Some(identity.file_system.to_string()))),
        };
        PartitionRecord::new(&identity, file_system, None)
    });
    Ok(records.collect())
}

/// Returns the partitions of `detfs repart`.
fn defined(args: &Ids, seed: Seed) -> Result<Vec<PartitionRecord>> {
    let options = [
        ("--definitions=", args.definitions.as_ref().map(|path| path.as_os_str().to_owned())),
        ("--root=", args.root.as_ref().map(|path| path.as_os_str().to_owned())),
        ("--architecture=", args.architecture.as_ref().map(OsString::from)),
    ];
    let words = options.into_iter().filter_map(|(option, value)| {
        let mut word = OsString::from(option);
        word.push(value?);
        Some(word)
    });
    let defined = repart::identities(words, seed)?;
    let records = defined.iter().map(|(definition, identity)| {
        let format = definition.format.as_ref();
        let id = match definition.file_system() {
            _ if definition.copies_blocks() => None,
            Some(format) => Some(format.id(identity.file_system)),
            None => definition.is_swap().then(|| Some(identity.file_system.to_string())),
        };
        let file_system = id.map(|id| (format.map(|format| format.name()), id));
        let file = definition.file.as_ref().map(|file| file.to_string_lossy().into_owned());
        PartitionRecord::new(identity, file_system, file)
    });
    Ok(records.collect())
}

impl PartitionRecord {
    fn new(
        identity: &Identity,
        file_system: Option<(Option<&str>, Option<String>)>,
        file: Option<String>,
    ) -> Self {
        let Identity { partition_type, uuid, label, .. } = identity;
        Self {
            name: partition_type.name(),
            r#type: partition_type.guid().to_string(),
            uuid: Some(uuid).filter(|uuid| !uuid.is_nil()).map(Uuid::to_string),
            label: label.clone(),
            file_system: file_system
                .map(|(format, uuid)| FsRecord { r#type: format.map(str::to_owned), uuid }),
            file,
        }
    }
}

/// Formats the ids as a table.
fn text(table: &TableRecord) -> String {
    let mut text = format!("disk {}\n", table.uuid);
    let head = ["TYPE", "PARTUUID", "UUID", "PARTLABEL"].map(str::to_owned);
    let rows = table.partitions.iter().map(|partition| {
        let uuid = partition.uuid.as_deref().unwrap_or("of the root hash");
        let file_system = partition.file_system.as_ref().and_then(|it| it.uuid.as_deref());
        let file_system = file_system.unwrap_or("-");
        [&partition.name, uuid, file_system, &partition.label].map(str::to_owned)
    });
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    for [name, uuid, file_system, label] in &rows {
        let [a, b, c] = widths;
        writeln!(text, "{name:a$}  {uuid:b$}  {file_system:c$}  {label}")
            .expect("a string takes everything");
    }
    text
}
