//! The syntax of systemd's configuration files.

use super::location::Location;
use crate::report::Warning;

/// A setting with its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) line: u32,
    pub(super) key: String,
    pub(super) value: String,
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Returns the settings in the `[Partition]` section, the only section that counts.
pub(super) fn assignments(
    text: &[u8],
    at: Location<'_>,
    warnings: &mut Vec<Warning>,
) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    let mut section = Section::None;
    for (number, line) in logical_lines(text) {
        let at = Location { line: number, ..at };
        let Ok(line) = String::from_utf8(line) else {
            warnings.push(at.warning("the line is not UTF-8; ignored"));
            continue;
        };
        if line.contains('\0') {
            warnings.push(at.warning("the line has a NUL byte; ignored"));
            continue;
        }
        let line = line.trim_matches(SPACE);
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = match name.strip_suffix(']') {
                Some("Partition") => Section::Partition,
                Some(name) => {
                    if !name.starts_with("X-") {
                        warnings.push(at.warning(format!("unknown section [{name}]")));
                    }
                    Section::Other
                }
                None => {
                    warnings.push(at.warning("the section name has no `]`; ignored"));
                    Section::Other
                }
            };
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            warnings.push(at.warning("the line has no `=`; ignored"));
            continue;
        };
        match section {
            Section::Partition => assignments.push(Assignment {
                line: number,
                key: key.trim_end_matches(SPACE).to_owned(),
                value: value.trim_start_matches(SPACE).to_owned(),
            }),
            Section::Other => {}
            Section::None => {
                warnings.push(at.warning("the setting is outside of a section; ignored"));
            }
        }
    }
    assignments
}

enum Section {
    None,
    Partition,
    Other,
}

/// Returns the logical lines, without comments and with continuation lines joined. Each has the
/// number of its last physical line.
fn logical_lines(text: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut lines = Vec::new();
    let mut pending: Option<Vec<u8>> = None;
    let mut number = 0;
    for line in text.split(|&byte| byte == b'\n') {
        number += 1;
        if matches!(line.trim_ascii_start(), [b'#' | b';', ..]) {
            continue;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut joined = pending.take().unwrap_or_default();
        joined.extend_from_slice(line);
        let backslashes = joined.iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            joined.pop();
            joined.push(b' ');
            pending = Some(joined);
        } else {
            lines.push((number, joined));
        }
    }
    lines.extend(pending.map(|joined| (number, joined)));
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &[u8]) -> (Vec<(u32, String, String)>, Vec<String>) {
        let mut warnings = Vec::new();
        let at = Location { file: Path::new("f"), line: 0 };
        let assignments = assignments(text, at, &mut warnings);
        let assignments = assignments.into_iter().map(|one| (one.line, one.key, one.value));
        (assignments.collect(), warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        let text =
            b"\xEF\xBB\xBF# c\n[Partition]\n Type = root \n;c\nCopyFiles=/a\\\n# between\n:/b\n\
            Label=a=b\nEmpty=\n[X-Other]\nIgnored=1\n[Partition]\nAgain=1\\\\\nEnd=x\\";
        let (assignments, warnings) = parse(text);
        let expected = [
            (3, "Type", "root"),
            (7, "CopyFiles", "/a :/b"),
            (8, "Label", "a=b"),
            (9, "Empty", ""),
            (13, "Again", "1\\\\"),
            (14, "End", "x"),
        ];
        let expected = expected.map(|(line, key, value)| (line, key.into(), value.into()));
        assert_eq!(assignments, expected);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_is_left_out_is_told() {
        let (assignments, warnings) =
            parse(b"Early=1\n[Partition]\nnothing\nA=\xFF\n[Other]\nB=1\n[Broken\nC=1\n");
        assert!(assignments.is_empty());
        let lines: Vec<_> = warnings.iter().map(|warning| &warning[..3]).collect();
        assert_eq!(lines, ["f:1", "f:3", "f:4", "f:5", "f:7"]);
    }
}
