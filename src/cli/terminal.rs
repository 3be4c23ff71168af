//! The only code that writes text to standard output and standard error. Control characters in
//! names, paths and labels are escaped, so that they never reach a terminal.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::name::Printable;

/// Prints a line to standard error, prefixed with the name of the program.
pub(super) fn print_error(what: &dyn Display) {
    print_notice(&format_args!("detfs: {what}"));
}

/// Prints a line to standard error. A failure is ignored, because it can't be reported anywhere.
#[expect(clippy::disallowed_methods, reason = "the line is escaped")]
pub(super) fn print_notice(line: &dyn Display) {
    let _ = writeln!(io::stderr(), "{}", Printable(&line.to_string()));
}

/// Prints lines to standard output. A closed standard output is not an error: Rust opens
/// `/dev/null` in its place, and other programs deliberately start this one with such a
/// `/dev/null`.
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

/// Prints JSON to standard output. JSON escapes control characters, except DEL and the control
/// characters after it, which are escaped here.
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
