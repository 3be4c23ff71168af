//! Substitution of the matches of a regular expression.

use regex::bytes::Regex;

use crate::time::Timestamp;

/// Placeholder for the seconds of the epoch.
pub(in super::super) const EPOCH: &str = "@EPOCH@";

/// The content would exceed the size limit.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct TooLong;

/// Returns the content with every match replaced, or `None` if that does not change it.
///
/// # Errors
/// [`TooLong`] if the result would be longer than `limit` bytes.
pub(in super::super) fn substitute(
    content: &[u8],
    pattern: &Regex,
    with: &str,
    epoch: Timestamp,
    limit: u64,
) -> Result<Option<Vec<u8>>, TooLong> {
    let epoch = epoch.seconds.to_string();
    let fits = |lengths: [usize; 2]| {
        let length = lengths[0].saturating_add(lengths[1]);
        if length as u64 > limit { Err(TooLong) } else { Ok(()) }
    };
    // A group is never longer than the match.
    let (fixed, groups) = (with.len().saturating_mul(epoch.len()), with.matches('$').count());
    let (mut changed, mut start) = (Vec::new(), 0);
    for captures in pattern.captures_iter(content) {
        let found = captures.get(0).expect("it is the match");
        changed.extend_from_slice(&content[start..found.start()]);
        start = found.end();
        fits([changed.len(), fixed.saturating_add(found.len().saturating_mul(groups))])?;
        for (at, part) in with.split(EPOCH).enumerate() {
            if at > 0 {
                changed.extend_from_slice(epoch.as_bytes());
            }
            captures.expand(part.as_bytes(), &mut changed);
        }
    }
    fits([changed.len(), content.len() - start])?;
    changed.extend_from_slice(&content[start..]);
    Ok((changed != content).then_some(changed))
}

/// Returns the first group that a replacement refers to but the expression does not have.
///
/// It would expand to nothing.
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
        let changed = |content: &[u8]| {
            let epoch = Timestamp::from_seconds(7);
            substitute(content, &pattern, "${1}@EPOCH@$$", epoch, 1000).unwrap()
        };
        assert_eq!(changed(b"a=1\nb=1\na=22\n\xff").unwrap(), b"a=7$\nb=1\na=7$\n\xff");
        assert_eq!(changed(b"b=1\n"), None);
        let epoch = Timestamp::from_seconds(7);
        let unbraced = substitute(b"a=1", &pattern, "$1@EPOCH@", epoch, 1000).unwrap();
        assert_eq!(unbraced.unwrap(), b"a=7");
    }

    /// Tests many matches, a replacement that repeats the match, and long content outside any
    /// match.
    #[test]
    fn length_is_limited() {
        let epoch = Timestamp::from_seconds(7);
        let length = |content: &[u8], pattern: &str, with: &str| {
            let pattern = Regex::new(pattern).unwrap();
            let changed = substitute(content, &pattern, with, epoch, 1000)?;
            Ok(changed.map_or(content.len(), |changed| changed.len()))
        };
        assert_eq!(length(&[b'a'; 1000], "b", "c"), Ok(1000));
        assert_eq!(length(&[b'a'; 1001], "b", "c"), Err(TooLong));
        assert_eq!(length(&[b'a'; 300], "a", "bbb"), Ok(900));
        assert_eq!(length(&[b'a'; 400], "a", "bbb"), Err(TooLong));
        assert_eq!(length(&[b'a'; 400], "a*", "$0$0"), Ok(800));
        assert_eq!(length(&[b'a'; 400], "a*", "$0$0$0"), Err(TooLong));
        assert_eq!(length(&[b'a'; 600], "", "bb"), Err(TooLong));
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
