//! The only code that writes text to standard output and standard error. Control characters in
//! names, paths and labels are escaped, so that they never reach a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::name::Printable;

/// Control sequences of colors, from ECMA-48 (SGR).
const BOLD_RED: &str = "\x1b[1;31m";
const BOLD_YELLOW: &str = "\x1b[1;33m";
const RESET: &str = "\x1b[0m";

/// Prints an error to standard error.
pub(super) fn print_error(what: &dyn Display) {
    print_message("error:", BOLD_RED, what);
}

/// Prints a warning to standard error.
pub(super) fn print_warning(what: &dyn Display) {
    print_message("warning:", BOLD_YELLOW, what);
}

/// Prints a line that starts with `word`, which is in `style` on a terminal with colors.
#[expect(clippy::disallowed_methods, reason = "the line is escaped")]
fn print_message(word: &str, style: &str, what: &dyn Display) {
    let what = what.to_string();
    let what = Printable(&what);
    let _ = match has_colors(&io::stderr()) {
        true => writeln!(io::stderr(), "{style}{word}{RESET} {what}"),
        false => writeln!(io::stderr(), "{word} {what}"),
    };
}

/// Returns whether a stream is a terminal on which colors are wanted, see <https://no-color.org>.
fn has_colors(stream: &impl IsTerminal) -> bool {
    #[expect(clippy::disallowed_methods, reason = "only the command line reads the environment")]
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_color && is_capable(stream)
}

/// Returns whether a stream is a terminal that obeys control sequences.
pub(super) fn is_capable(stream: &impl IsTerminal) -> bool {
    #[expect(clippy::disallowed_methods, reason = "only the command line reads the environment")]
    let is_dumb = std::env::var_os("TERM").is_none_or(|value| value == "dumb");
    stream.is_terminal() && !is_dumb
}

/// Prints a line to standard error. A failure is ignored, because it can't be reported anywhere.
#[expect(clippy::disallowed_methods, reason = "the line is escaped")]
pub(super) fn print_notice(line: &dyn Display) {
    let _ = writeln!(io::stderr(), "{}", Printable(&line.to_string()));
}

/// Returns whether standard output is a terminal.
#[expect(clippy::disallowed_methods, reason = "nothing is printed")]
pub(super) fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard output is a terminal that can show a picture of the disk.
#[expect(clippy::disallowed_methods, reason = "nothing is printed")]
pub(super) fn is_stdout_capable() -> bool {
    is_capable(&io::stdout())
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
