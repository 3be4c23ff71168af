//! Text for what a regular expression matches.

use regex::bytes::Regex;

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
    let with = with.replace(EPOCH, &epoch.seconds.to_string());
    let changed = pattern.replace_all(content, with.as_bytes());
    (*changed != *content).then(|| changed.into_owned())
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
    }
}
