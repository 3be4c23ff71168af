//! Text dumps of images: a line for each field of each record that is not zero.

#[cfg(feature = "btrfs")]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;

use zerocopy::FromBytes;

use crate::hex::hex;
use crate::record::{Describe, Kind};

/// A record that can be read and dumped.
pub(crate) trait Readable: Describe + FromBytes {
    /// Name of the record in its specification.
    const NAME: &str = match Self::KIND {
        Kind::Record { name, .. } => name,
        _ => panic!("a field is not a record"),
    };
}

impl<T: Describe + FromBytes> Readable for T {}

/// A dump of an image under construction.
pub(crate) struct Dump<'a> {
    image: &'a [u8],
    /// Start of the partition that offsets are relative to.
    base: usize,
    /// Lines by their offset in the image. Records that are found twice have one set of lines.
    lines: BTreeSet<(usize, String)>,
    covered: Vec<bool>,
}

/// Converts an address to an offset in an image in memory.
pub(crate) fn offset(address: impl Into<u64>) -> usize {
    usize::try_from(address.into()).expect("the image is in memory")
}

impl<'a> Dump<'a> {
    pub(crate) fn new(image: &'a [u8]) -> Self {
        Self { image, base: 0, lines: BTreeSet::new(), covered: vec![false; image.len()] }
    }

    /// Makes offsets relative to the partition at `base`.
    pub(crate) fn partition(&mut self, base: usize) {
        self.base = base;
    }

    /// Returns bytes of the partition.
    pub(crate) fn bytes(&self, at: usize, len: usize) -> &'a [u8] {
        &self.image[self.base + at..][..len]
    }

    /// Returns a record without dumping it.
    pub(crate) fn read<T: FromBytes>(&self, at: usize) -> T {
        T::read_from_bytes(self.bytes(at, size_of::<T>())).expect("sizes are equal")
    }

    /// Dumps a record and returns it.
    ///
    /// A field is omitted if other records in its place have been dumped before.
    pub(crate) fn record<T: Readable>(&mut self, at: usize) -> T {
        self.named(at, "")
    }

    /// Dumps a record of a table and returns it.
    pub(crate) fn element<T: Readable>(&mut self, at: usize, index: impl Into<u64>) -> T {
        self.named(at, &format!("[{}]", index.into()))
    }

    fn named<T: Readable>(&mut self, at: usize, index: &str) -> T {
        self.add(at, &format!("{}{index}", T::NAME), "", &T::KIND);
        self.read(at)
    }

    /// Dumps a field that is in no record.
    pub(crate) fn field<T: Describe>(&mut self, at: usize, record: &str, field: &str) {
        self.add(at, record, field, &T::KIND);
    }

    /// Dumps a value that is not in whole bytes.
    pub(crate) fn value(&mut self, at: usize, len: usize, record: &str, value: &str) {
        self.line(at, record, "value", value);
        self.cover(at..at + len);
    }

    /// Dumps bytes, such as a name after the record that contains its length.
    pub(crate) fn bytes_field(&mut self, at: usize, len: usize, record: &str, field: &str) {
        self.add(at, record, field, &Kind::Array { element: &Kind::Byte, len });
    }

    /// Adds a line for the content of a file, which is not dumped.
    pub(crate) fn content(&mut self, at: usize, len: usize, file: &str) {
        self.line(at, "content", file, &len.to_string());
        self.cover(at..at + len);
    }

    /// Dumps each run of bits that are set.
    pub(crate) fn bitmap(&mut self, at: usize, len: usize, record: &str) {
        let bytes = self.bytes(at, len);
        let is_set = |bit: usize| bytes.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
        let starts = (0..len * 8).filter(|&bit| is_set(bit) && (bit == 0 || !is_set(bit - 1)));
        for start in starts {
            let end = (start..).find(|&bit| !is_set(bit)).expect("a bitmap has an end");
            self.line(at + start / 8, record, "bits", &format!("{start}-{}", end - 1));
        }
        self.cover(at..at + len);
    }

    /// Adds one line for a copy of the bytes at `of`, and one for each byte that differs.
    pub(crate) fn copy(&mut self, at: usize, of: usize, len: usize, record: &str) {
        self.line(at, record, "copy_of", &format!("{:#010x}", self.base + of));
        for (index, (byte, original)) in
            (0..).zip(self.bytes(at, len).iter().zip(self.bytes(of, len)))
        {
            if byte != original {
                self.line(at + index, record, "byte", &format!("{byte:#04x}"));
            }
        }
        self.cover(at..at + len);
    }

    /// Adds the lines of a value: one, or one for each of its fields.
    fn add(&mut self, at: usize, record: &str, field: &str, kind: &Kind) {
        let range = at..at + kind.size();
        let bytes = self.bytes(at, kind.size());
        let is_covered = &self.covered[self.base + range.start..self.base + range.end];
        if bytes.iter().zip(is_covered).all(|(&byte, &is_covered)| byte == 0 || is_covered) {
            return;
        }
        match kind {
            Kind::Record { name, fields, .. } => {
                // A part of a record has the same name.
                let same = record.split('[').next() == Some(name);
                let prefix = if same || field.is_empty() { "" } else { &format!("{field}.") };
                for inner in *fields {
                    let name = format!("{prefix}{}", inner.name);
                    self.add(at + inner.offset, record, &name, &inner.kind);
                }
                return;
            }
            Kind::Array { element: element @ Kind::Record { size, .. }, len } => {
                for index in 0..*len {
                    self.add(at + index * size, record, &format!("{field}[{index}]"), element);
                }
                return;
            }
            Kind::Array { element: Kind::Byte, .. } => {
                self.line(at, record, field, &show_bytes(bytes));
            }
            Kind::Array { element, .. } => {
                let values = bytes.chunks(element.size());
                let mut values: Vec<_> = values.map(|value| show_integer(element, value)).collect();
                let zero = show_integer(element, &vec![0; element.size()]);
                while values.last() == Some(&zero) {
                    values.pop();
                }
                self.line(at, record, field, &values.join(" "));
            }
            integer => self.line(at, record, field, &show_integer(integer, bytes)),
        }
        self.cover(range);
    }

    fn line(&mut self, at: usize, record: &str, field: &str, value: &str) {
        let at = self.base + at;
        self.lines.insert((at, format!("{at:#010x} {record} {field} {value}\n")));
    }

    fn cover(&mut self, range: Range<usize>) {
        self.covered[self.base + range.start..self.base + range.end].fill(true);
    }

    /// Returns the offset of the first byte that is not zero and has no line.
    fn first_omitted(&self) -> Option<usize> {
        let mut bytes = self.image.iter().zip(&self.covered);
        bytes.position(|(&byte, &is_covered)| byte != 0 && !is_covered)
    }

    fn text(&self) -> String {
        self.lines.iter().map(|(_, line)| line.as_str()).collect()
    }
}

/// Shows an integer in hex, with all its digits.
fn show_integer(kind: &Kind, bytes: &[u8]) -> String {
    let mut digits = bytes.to_vec();
    if matches!(kind, Kind::LittleEndian(_)) {
        digits.reverse();
    }
    format!("0x{}", hex(&digits))
}

/// Shows text in quotation marks, and other bytes in hex, both without zeros at the end.
fn show_bytes(bytes: &[u8]) -> String {
    let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    match str::from_utf8(&bytes[..len]) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text:?}"),
        _ => hex(&bytes[..len]),
    }
}
