//! Prints the partitions as JSON in systemd-repart's format.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::format_row;
use crate::repart::{Activity, PartitionResult, Verity, type_name};

/// Format of the JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    Off,
    Short,
    Pretty,
}

/// JSON object of a partition, with the keys in systemd-repart's order.
#[derive(Serialize)]
struct Object<'a> {
    r#type: String,
    label: &'a str,
    uuid: String,
    partno: u32,
    file: Option<Cow<'a, str>>,
    node: String,
    offset: u64,
    old_size: u64,
    raw_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    old_padding: u64,
    raw_padding: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<String>,
    activity: &'static str,
    /// The outer `Option` is `None` if no partition has a root hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    roothash: Option<Option<String>>,
    #[serde(rename = "drop-in_files", skip_serializing_if = "Option::is_none")]
    drop_in_files: Option<Option<Vec<Cow<'a, str>>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split_path: Option<String>,
}

/// Returns the rows as JSON text that ends in a newline.
pub(super) fn text(
    rows: &[PartitionResult],
    image: &Path,
    json: Json,
    sizes: Option<format_row::Arrow>,
) -> String {
    let columns = format_row::Columns::of(rows);
    let objects: Vec<_> = rows
        .iter()
        .map(|row| Object {
            r#type: type_name(row.identity.partition_type),
            label: match &*row.identity.label {
                "" => "-",
                label => label,
            },
            uuid: row.identity.uuid.to_string(),
            partno: row.number,
            file: row.file.as_deref().map(Path::to_string_lossy),
            node: format_row::node(image, row.number),
            offset: row.offset,
            old_size: row.old_size,
            raw_size: row.size,
            size: sizes
                .map(|arrow| format_row::change(row.old_size, row.size, row.activity, arrow)),
            old_padding: row.old_padding,
            raw_padding: row.padding,
            padding: sizes
                .map(|arrow| format_row::change(row.old_padding, row.padding, row.activity, arrow)),
            activity: match row.activity {
                Activity::Create => "create",
                Activity::Resize => "resize",
                Activity::Unchanged => "unchanged",
            },
            roothash: columns.root_hash.then(|| root_hash(row)),
            drop_in_files: columns.drop_ins.then(|| {
                let files = row.drop_ins.iter().map(|file| file.to_string_lossy()).collect();
                Some(files).filter(|files: &Vec<_>| !files.is_empty())
            }),
            split_path: columns.split.then(|| format_row::split(row)),
        })
        .collect();
    let text = match json {
        Json::Pretty => to_text(&objects, Tabs(PrettyFormatter::with_indent(b"\t"))),
        Json::Short | Json::Off => to_text(&objects, CompactFormatter),
    };
    text + "\n"
}

fn root_hash(row: &PartitionResult) -> Option<String> {
    (row.verity != Verity::Off).then(|| format_row::root_hash(row))
}

fn to_text(objects: &[Object<'_>], formatter: impl Formatter) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, formatter);
    objects.serialize(&mut serializer).expect("keys are strings, and memory takes all");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Formatter with a space on both sides of a colon, because callers compare the text.
struct Tabs(PrettyFormatter<'static>);

impl Formatter for Tabs {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" : ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
