//! The only way to standard error and, for texts, to standard output: no control character of a
//! name, path or label reaches a terminal.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::name::Printable;

/// Prints a line to standard error with the name of the program before it.
pub(super) fn print_error(what: &dyn Display) {
    print_notice(&format_args!("detfs: {what}"));
}

/// Prints a line to standard error. If even that fails, it can be reported nowhere.
#[expect(clippy::disallowed_methods, reason = "the line is escaped")]
pub(super) fn print_notice(line: &dyn Display) {
    let _ = writeln!(io::stderr(), "{}", Printable(&line.to_string()));
}

/// Prints lines to standard output. Where that is closed nothing is lost: Rust opens `/dev/null` in
/// its place, and other programs start this one with such a `/dev/null` on purpose.
pub(super) fn print(text: &str) -> Result<()> {
    let lines = text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => format!("{}\n", Printable(line)),
        None => Printable(line).to_string(),
    });
    write(&lines.collect::<String>())
}

/// Prints a record as JSON.
pub(super) fn print_json(record: &impl Serialize) -> Result<()> {
    print_json_lines(&(serde_json::to_string_pretty(record).expect("its keys are strings") + "\n"))
}

/// Prints JSON to standard output. It has its own escapes, but leaves DEL and the control characters
/// after it as they are.
pub(super) fn print_json_lines(json: &str) -> Result<()> {
    let escaped = json.chars().map(|c| match c {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    });
    write(&escaped.collect::<String>())
}

#[expect(clippy::disallowed_methods, reason = "the text is escaped")]
fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let result = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    result.map_err(|error| Error::output("cannot write to standard output", error))
}
