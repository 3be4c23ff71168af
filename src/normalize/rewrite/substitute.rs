//! Text for what a regular expression matches.

use regex::bytes::{Captures, Regex};

use crate::time::Timestamp;

/// Stands for the seconds of the epoch.
pub(in super::super) const EPOCH: &str = "@EPOCH@";

/// The content with the text in the place of every match; `None` if it is the same then.
pub(in super::super) fn substitute(
    content: &[u8],
    pattern: &Regex,
    with: &str,
    epoch: Timestamp,
) -> Option<Vec<u8>> {
    let epoch = epoch.seconds.to_string();
    let changed = pattern.replace_all(content, |captures: &Captures<'_>| {
        let mut text = Vec::new();
        for (at, part) in with.split(EPOCH).enumerate() {
            if at > 0 {
                text.extend_from_slice(epoch.as_bytes());
            }
            captures.expand(part.as_bytes(), &mut text);
        }
        text
    });
    (*changed != *content).then(|| changed.into_owned())
}

/// The first group that a text names and an expression does not have: it would stand for nothing.
pub(in super::super) fn missing_group<'a>(pattern: &Regex, with: &'a str) -> Option<&'a str> {
    let exists = |name: &str| match name.parse::<usize>() {
        Ok(number) => number < pattern.captures_len(),
        Err(_) => pattern.capture_names().any(|own| own == Some(name)),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for part in with.split(EPOCH) {
        let mut rest = part;
        while let Some((_, after)) = rest.split_once('$') {
            let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, behind) = match (after.strip_prefix('$'), braced) {
                (Some(behind), _) => (None, behind),
                (None, Some((name, behind))) => (Some(name), behind),
                (None, None) => {
                    let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
                    (Some(&after[..end]).filter(|name| !name.is_empty()), &after[end..])
                }
            };
            if let Some(name) = name.filter(|name| !exists(name)) {
                return Some(name);
            }
            rest = behind;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_replaced() {
        let pattern = Regex::new(r"(?m)^(a=)[0-9]+$").unwrap();
        let substitute = |content: &[u8]| {
            substitute(content, &pattern, "${1}@EPOCH@$$", Timestamp::from_seconds(7))
        };
        assert_eq!(substitute(b"a=1\nb=1\na=22\n\xff").unwrap(), b"a=7$\nb=1\na=7$\n\xff");
        assert_eq!(substitute(b"b=1\n"), None);
        let unbraced = super::substitute(b"a=1", &pattern, "$1@EPOCH@", Timestamp::from_seconds(7));
        assert_eq!(unbraced.unwrap(), b"a=7");
    }

    #[test]
    fn groups_that_are_not_there_are_found() {
        let pattern = Regex::new("(a)(?P<name>b)").unwrap();
        for (with, expected) in [
            ("$0$1${2}$name$$3 $ @EPOCH@", None),
            ("${1}x$1@EPOCH@", None),
            ("$3", Some("3")),
            ("$1x", Some("1x")),
            ("root:$6$salt", Some("6")),
            ("@EPOCH@${other}", Some("other")),
            ("$$$no", Some("no")),
        ] {
            assert_eq!(missing_group(&pattern, with), expected, "{with}");
        }
    }
}
