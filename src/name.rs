//! File names and paths as bytes: a name has 1 to 255 bytes, any but `/` and NUL.

use std::fmt::{self, Display, Write};
use std::path::Path;

/// Length of the longest name, in bytes.
pub(crate) const NAME_MAX: usize = 255;

/// Returns the reason why a name of a directory entry is invalid; `None` for a valid name.
#[must_use]
pub(crate) fn fault(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("the name is empty"),
        b"." | b".." => Some("`.` and `..` can't be names"),
        _ if name.len() > NAME_MAX => Some("the name is longer than 255 bytes"),
        _ if name.contains(&b'/') => Some("the name contains a slash"),
        _ if name.contains(&0) => Some("the name contains a NUL byte"),
        _ => None,
    }
}

/// Formats a path on one line: printable UTF-8 unchanged, everything else as `\xNN`, and the root
/// as `/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('/');
        }
        for chunk in self.0.utf8_chunks() {
            escape(f, chunk.valid(), |c| is_unprintable(c) || c == '\\')?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Formats a path on this machine like [`Escaped`] does a path in a tree, except for an empty one,
/// which becomes `""`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostPath<'a>(pub(crate) &'a Path);

impl Display for HostPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_os_str().as_encoded_bytes() {
            b"" => f.write_str("\"\""),
            path => Escaped(path).fmt(f),
        }
    }
}

/// Formats text on one line, without control characters that a terminal would interpret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, is_unprintable)
    }
}

/// Returns whether a terminal would interpret a character: a control character, or one that changes
/// the direction of text or ends a line.
fn is_unprintable(c: char) -> bool {
    let is_direction = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
    let is_isolate = matches!(c, '\u{2066}'..='\u{2069}');
    c.is_control() || is_direction || is_isolate || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escape(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    is_escaped: impl Fn(char) -> bool,
) -> fmt::Result {
    text.chars().try_for_each(|c| match is_escaped(c) {
        true => write!(f, "{}", c.escape_default()),
        false => f.write_char(c),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged() {
        for good in [&b"a"[..], b"...", b"\xff\xfe", b"new\nline", &[b'l'; 255]] {
            assert_eq!(fault(good), None, "{}", Escaped(good));
        }
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'l'; 256]] {
            assert!(fault(bad).is_some(), "{}", Escaped(bad));
        }
    }

    #[test]
    fn paths_are_shown_on_one_line() {
        assert_eq!(Escaped(b"").to_string(), "/");
        assert_eq!(Escaped("usr/Größe".as_bytes()).to_string(), "usr/Größe");
        assert_eq!(Escaped(b"a\nb\\c\xff").to_string(), "a\\nb\\\\c\\xff");
        assert_eq!(HostPath(Path::new("/dev/\x1bx")).to_string(), "/dev/\\u{1b}x");
        assert_eq!(HostPath(Path::new("")).to_string(), "\"\"");
    }

    #[test]
    fn texts_have_no_control_characters() {
        for (text, expected) in [
            ("", ""),
            ("Größe \\ 1", "Größe \\ 1"),
            ("a\n\t\u{7}", "a\\n\\t\\u{7}"),
            ("\u{1b}[31m\u{9b}31m\u{7f}", "\\u{1b}[31m\\u{9b}31m\\u{7f}"),
            ("a\u{202e}b\u{2066}\u{2028}", "a\\u{202e}b\\u{2066}\\u{2028}"),
        ] {
            assert_eq!(Printable(text).to_string(), expected);
        }
    }
}
