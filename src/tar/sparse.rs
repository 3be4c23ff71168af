//! Content of files, and maps of those that are sparse.

use super::fault::{Fault, Result};
use super::number;
use super::records::Attributes;
use super::spec::RawSparse;

/// A range of a file that has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset in the file.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Offset of the data in the archive.
    pub(crate) data: u64,
}

/// Place of a file's content in the archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Offset of the content.
    Whole(u64),
    /// Ranges with data, in order. All other bytes are zeros.
    Sparse(Vec<Segment>),
}

/// Form of the sparse map of a PAX archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The map is in records.
    Records(Vec<(u64, u64)>),
    /// Version 1.0: the map is before the data.
    Data,
}

/// Returns the size of the file and the form of its map; `None` if the file is not sparse.
pub(super) fn form(attributes: Attributes<'_>) -> Result<Option<(u64, Form)>> {
    let version = (attributes.get("GNU.sparse.major"), attributes.get("GNU.sparse.minor"));
    let (form, size) = match version {
        (None, None) => match (attributes.get("GNU.sparse.map"), &*attributes.own.sparse) {
            (None, []) if attributes.get("GNU.sparse.size").is_none() => return Ok(None),
            (None, map) => (Form::Records(map.to_vec()), "GNU.sparse.size"),
            (Some(text), []) => (Form::Records(list(text)?), "GNU.sparse.size"),
            (Some(_), _) => return Err(Fault::new("it has two sparse maps")),
        },
        (Some(b"1"), Some(b"0")) => (Form::Data, "GNU.sparse.realsize"),
        _ => return Err(Fault::new("the version of its sparse map is not 0.0, 0.1 or 1.0")),
    };
    if let (Form::Records(map), Some(blocks)) = (&form, attributes.number("GNU.sparse.numblocks")?)
        && blocks != map.len() as u64
    {
        let rule = format!("GNU.sparse.numblocks is {blocks}, its map has {}", map.len());
        return Err(Fault::new(rule));
    }
    let size = attributes.number(size)?;
    let size = size.ok_or_else(|| Fault::new("it has a sparse map, but no size"))?;
    Ok(Some((size, form)))
}

/// Parses `GNU.sparse.map`: offsets and lengths, separated by commas.
fn list(text: &[u8]) -> Result<Vec<(u64, u64)>> {
    let numbers = text.split(|&byte| byte == b',');
    let numbers = numbers.map(|text| number::decimal("GNU.sparse.map", text));
    pairs(&numbers.collect::<Result<Vec<_>>>()?)
}

pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>> {
    match numbers.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[offset, length]| (offset, length)).collect()),
        _ => Err(Fault::new("a sparse map has an offset without its length")),
    }
}

/// Appends the ranges of a block of GNU tar, up to the first unused one.
pub(super) fn add_raw(map: &mut Vec<(u64, u64)>, raw: &[RawSparse]) -> Result<()> {
    for RawSparse { offset, numbytes } in raw.iter().take_while(|raw| raw.numbytes[0] != 0) {
        let number = |name, field| {
            let number = number::of_field(name, field)?;
            u64::try_from(number).map_err(|_| Fault::new(format!("{name} is {number}")))
        };
        map.push((number("sparse offset", offset)?, number("sparse length", numbytes)?));
    }
    Ok(())
}

/// Checks a map of a file of `size` bytes, and returns the segments of its `stored` bytes, which
/// start at `data`.
pub(super) fn segments(
    map: &[(u64, u64)],
    size: u64,
    mut data: u64,
    stored: u64,
) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let (mut end, mut total) = (0u64, 0u64);
    for &(offset, length) in map {
        if offset < end {
            return Err(Fault::new(format!("its sparse map goes back from {end} to {offset}")));
        }
        end = offset.saturating_add(length);
        if end > size {
            return Err(Fault::new(format!("its sparse map goes to {end}, its size is {size}")));
        }
        if length > 0 {
            segments.push(Segment { offset, length, data });
        }
        total += length;
        data = data.saturating_add(length);
    }
    match total == stored {
        true => Ok(segments),
        false => Err(Fault::new(format!("its sparse map has {total} bytes of data, not {stored}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::records::Records;
    use crate::tar::samples::record;

    fn of(records: &[(&str, &str)]) -> Result<Option<(u64, Form)>> {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        form(Attributes { own: &Records::parse(&body).unwrap(), global: &Records::default() })
    }

    #[test]
    fn trap_4_forms_of_maps() {
        let map = vec![(0, 3), (1024, 5)];
        let of_0_0 = [
            ("GNU.sparse.size", "2000"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "3"),
            ("GNU.sparse.offset", "1024"),
            ("GNU.sparse.numbytes", "5"),
        ];
        let of_0_1 = [
            ("GNU.sparse.size", "2000"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.map", "0,3,1024,5"),
        ];
        for records in [&of_0_0[..], &of_0_1, &of_0_1[..1], &of_0_1[1..]] {
            let expected = match records.len() {
                1 => Some(Some((2000, Form::Records(Vec::new())))),
                2 => None,
                _ => Some(Some((2000, Form::Records(map.clone())))),
            };
            assert_eq!(of(records).ok(), expected);
        }
        let of_1_0 =
            [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "7")];
        assert_eq!(of(&of_1_0).unwrap(), Some((7, Form::Data)));
        assert_eq!(of(&[("uid", "0")]).unwrap(), None);
        for wrong in [
            &of_1_0[..2],
            &of_1_0[1..],
            &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "1")],
            &[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,3,5")],
            &[("GNU.sparse.size", "9"), ("GNU.sparse.map", "")],
            &[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1"), ("GNU.sparse.numblocks", "2")],
            &[&of_0_0[..], &of_0_1].concat(),
        ] {
            if wrong.iter().any(|(_, value)| value.is_empty()) {
                // An empty value is no record.
                assert_eq!(of(wrong).unwrap(), Some((9, Form::Records(Vec::new()))));
            } else {
                of(wrong).unwrap_err();
            }
        }
    }

    #[test]
    fn trap_14_maps_ascend_within_the_size() {
        let segment = |offset, length, data| Segment { offset, length, data };
        let map = [(0, 3), (3, 2), (1024, 5), (2000, 0)];
        let expected = [segment(0, 3, 512), segment(3, 2, 515), segment(1024, 5, 517)];
        assert_eq!(segments(&map, 2000, 512, 10).unwrap(), expected);
        for (map, size, stored) in [
            (&[(5, 1), (0, 1)][..], 9, 2),
            (&[(0, 3), (2, 3)], 9, 6),
            (&[(0, 10)], 9, 10),
            (&[(u64::MAX >> 1, u64::MAX >> 1), (5, 1)], 9, 10),
            (&[(0, 3)], 9, 4),
            (&[], 9, 1),
        ] {
            segments(map, size, 0, stored).unwrap_err();
        }
    }
}
