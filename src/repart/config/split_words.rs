//! Splits text into words with quotes and escapes, as systemd does.

/// Syntax of words and separators.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    separators: &'static [u8],
    /// Whether adjacent separators count as one, and leading and trailing separators are ignored.
    coalesce: bool,
    /// Whether quotes are removed.
    unquote: bool,
    escapes: Escapes,
}

/// Meaning of a backslash, inside and outside of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// The backslash is removed.
    Any,
    /// The backslash starts a C escape.
    C,
    /// The backslash is removed before a separator or another backslash, and an error elsewhere.
    Separators,
}

/// Words separated by white space.
pub(super) const LIST: Syntax =
    Syntax { separators: b" \t\n\r", coalesce: true, unquote: true, escapes: Escapes::Any };
/// Parts of a word of a list, separated by colons.
pub(super) const PARTS: Syntax =
    Syntax { separators: b":", coalesce: false, unquote: true, escapes: Escapes::Any };
/// Parts of a value, separated by colons, with C escapes.
pub(super) const QUOTED_PARTS: Syntax = Syntax { escapes: Escapes::C, ..PARTS };
/// Parts of a value, separated by colons, in which quotes have no special meaning.
pub(super) const BARE_PARTS: Syntax = Syntax { unquote: false, ..QUOTED_PARTS };
/// Options separated by commas.
pub(super) const OPTIONS: Syntax =
    Syntax { separators: b",", coalesce: false, unquote: false, escapes: Escapes::Separators };

/// Error for a word with an unclosed quote or an invalid escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Iterator over the words of a text, which ends after the first malformed word.
pub(super) struct Words<'a> {
    syntax: Syntax,
    /// The text that is not split yet; `None` after the last word.
    rest: Option<&'a [u8]>,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a [u8], syntax: Syntax) -> Self {
        Self { syntax, rest: Some(text) }
    }

    /// Returns whether any text remains after the last word and its separator.
    pub(super) fn has_more(&self) -> bool {
        self.rest.is_some_and(|rest| !rest.is_empty())
    }

    fn without_separators(&self, text: &'a [u8]) -> &'a [u8] {
        let is_separator = |byte: &&u8| self.syntax.separators.contains(byte);
        &text[text.iter().take_while(is_separator).count()..]
    }

    fn extract(&mut self, text: &'a [u8]) -> Result<Vec<u8>, Malformed> {
        let Syntax { separators, coalesce, unquote, escapes } = self.syntax;
        let (mut rest, mut word, mut quote) = (text, Vec::new(), None);
        while let [byte, after @ ..] = rest {
            rest = after;
            match (byte, quote) {
                (b'\\', _) => rest = escapes.take(rest, separators, &mut word).ok_or(Malformed)?,
                (byte, Some(end)) if byte == end => quote = None,
                (b'"' | b'\'', None) if unquote => quote = Some(byte),
                (byte, None) if separators.contains(byte) => {
                    self.rest = match coalesce {
                        true => Some(self.without_separators(rest)).filter(|rest| !rest.is_empty()),
                        false => Some(rest),
                    };
                    return Ok(word);
                }
                (byte, _) => word.push(*byte),
            }
        }
        quote.map_or(Ok(word), |_| Err(Malformed))
    }
}

impl Iterator for Words<'_> {
    type Item = Result<Vec<u8>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = self.rest.take()?;
        if self.syntax.coalesce {
            text = self.without_separators(text);
            if text.is_empty() {
                return None;
            }
        }
        Some(self.extract(text))
    }
}

impl Escapes {
    /// Appends the character of an escape to `word`. `text` starts after the backslash. Returns the
    /// rest of the text, or `None` if the escape is invalid.
    fn take<'a>(self, text: &'a [u8], separators: &[u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
        let (first, rest) = text.split_first()?;
        match self {
            Self::C => return unescape(*first, rest, word),
            Self::Separators if *first != b'\\' && !separators.contains(first) => return None,
            Self::Any | Self::Separators => word.push(*first),
        }
        Some(rest)
    }
}

/// Appends the character of a C escape to `word`. Returns the rest of the text, or `None` if the
/// escape is invalid.
fn unescape<'a>(first: u8, rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let number = |digits: &[u8], radix| {
        let text = std::str::from_utf8(digits).ok()?;
        let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(text, radix).ok().filter(|&number| plain && number != 0)
    };
    let byte = match first {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b's' => b' ',
        b'\\' | b'"' | b'\'' => first,
        b'x' => {
            let (digits, rest) = rest.split_at_checked(2)?;
            word.push(u8::try_from(number(digits, 16)?).ok()?);
            return Some(rest);
        }
        b'0'..=b'7' => {
            let (digits, rest) = rest.split_at_checked(2)?;
            let digits = [&[first], digits].concat();
            word.push(u8::try_from(number(&digits, 8)?).ok()?);
            return Some(rest);
        }
        b'u' | b'U' => {
            let (digits, rest) = rest.split_at_checked(if first == b'u' { 4 } else { 8 })?;
            let c = char::from_u32(number(digits, 16)?)?;
            word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(rest);
        }
        _ => return None,
    };
    word.push(byte);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_extracted() {
        let bad = Err(Malformed);
        for (text, syntax, expected) in [
            ("", LIST, &[][..]),
            ("  /a  /b ", LIST, &[Ok("/a"), Ok("/b")]),
            (r#""/a b" '/c"d' /e"f"g"#, LIST, &[Ok("/a b"), Ok("/c\"d"), Ok("/efg")]),
            (r"/a\ b '\'\x20'", LIST, &[Ok("/a b"), Ok("'x20")]),
            (r#"/a """#, LIST, &[Ok("/a"), Ok("")]),
            ("/a 'open", LIST, &[Ok("/a"), bad]),
            (r"/a\", LIST, &[bad]),
            ("/a:ro", PARTS, &[Ok("/a"), Ok("ro")]),
            (r#"/a\:b:"c:d""#, PARTS, &[Ok("/a:b"), Ok("c:d")]),
            ("", PARTS, &[Ok("")]),
            (":", PARTS, &[Ok(""), Ok("")]),
            (r#"/a\x20b\n:"subvol=@:,'""#, QUOTED_PARTS, &[Ok("/a b\n"), Ok("subvol=@:,'")]),
            (r"/a\u00e4\U0001f427\101", QUOTED_PARTS, &[Ok("/aä🐧A")]),
            (r"/a:\q", QUOTED_PARTS, &[Ok("/a"), bad]),
            (r"/a\x00", QUOTED_PARTS, &[bad]),
            (r"/a\x+1", QUOTED_PARTS, &[bad]),
            (r"/a\777", QUOTED_PARTS, &[bad]),
            (r"/a\ud800", QUOTED_PARTS, &[bad]),
            (r#""/a b":/c"#, BARE_PARTS, &[Ok("\"/a b\""), Ok("/c")]),
            (r"/a\:b", BARE_PARTS, &[bad]),
            (r"/a::o:", BARE_PARTS, &[Ok("/a"), Ok(""), Ok("o"), Ok("")]),
            (r"a,b\,c,,d\\", OPTIONS, &[Ok("a"), Ok("b,c"), Ok(""), Ok("d\\")]),
            (r"a\b", OPTIONS, &[bad]),
        ] {
            let found = Words::new(text.as_bytes(), syntax).map(|word| {
                word.map(|word| String::from_utf8(word).expect("the words of these are UTF-8"))
            });
            let found: Vec<_> = found.collect();
            let found: Vec<_> = found.iter().map(|word| word.as_deref().map_err(|&e| e)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_follows_the_last_word_is_seen() {
        for (text, expected) in [("a", false), ("a:", false), ("a:b", true), ("", false)] {
            let mut words = Words::new(text.as_bytes(), PARTS);
            words.next();
            assert_eq!(words.has_more(), expected, "{text}");
        }
    }
}
