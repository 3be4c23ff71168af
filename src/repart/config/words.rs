//! Lists of words with quotes and escapes.

/// How words are told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    /// What stands between words; white space of any length, or one colon.
    pub(super) colon: bool,
    /// Whether quotes are taken off.
    pub(super) unquote: bool,
    /// Whether backslashes stand for bytes as in C.
    pub(super) unescape: bool,
}

/// Words between white space, quoted or not.
pub(super) const LIST: Syntax = Syntax { colon: false, unquote: true, unescape: false };
/// Words between white space, quoted or not, with escapes.
pub(super) const ESCAPED: Syntax = Syntax { colon: false, unquote: true, unescape: true };
/// Parts between colons, with escapes.
pub(super) const PARTS: Syntax = Syntax { colon: true, unquote: false, unescape: true };

/// The words of a text; `None` for one with an open quote or an escape that is none.
pub(super) fn split(text: &str, syntax: Syntax) -> Option<Vec<Vec<u8>>> {
    let is_separator = |byte: u8| match syntax.colon {
        true => byte == b':',
        false => byte.is_ascii_whitespace(),
    };
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = syntax.colon.then(Vec::new);
    let mut quote = None;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) if quote != Some(b'\'') || syntax.unescape => {
                let word = word.get_or_insert_default();
                let next = bytes.next()?;
                match (syntax.unescape, next) {
                    (true, b':') if syntax.colon => word.push(b':'),
                    (true, next) => unescape(next, &mut bytes, word)?,
                    (false, next) => word.push(next),
                }
            }
            (_, Some(end)) if byte == end => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(byte),
            (b'"' | b'\'', None) if syntax.unquote => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, None) if is_separator(byte) => {
                words.extend(word.take());
                if syntax.colon {
                    word = Some(Vec::new());
                }
            }
            (_, None) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// One escape, whose first character is given.
fn unescape(first: u8, rest: &mut impl Iterator<Item = u8>, word: &mut Vec<u8>) -> Option<()> {
    let mut number = |count: usize, radix: u32, start: u32| {
        (0..count).try_fold(start, |value, _| {
            Some(value * radix + char::from(rest.next()?).to_digit(radix)?)
        })
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
        b'x' => u8::try_from(number(2, 16, 0)?).ok().filter(|&byte| byte != 0)?,
        b'0'..=b'7' => {
            let start = u32::from(first - b'0');
            u8::try_from(number(2, 8, start)?).ok().filter(|&byte| byte != 0)?
        }
        b'u' | b'U' => {
            let digits = if first == b'u' { 4 } else { 8 };
            let value = char::from_u32(number(digits, 16, 0)?).filter(|&value| value != '\0')?;
            word.extend(value.encode_utf8(&mut [0; 4]).bytes());
            return Some(());
        }
        _ => return None,
    };
    word.push(byte);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split() {
        for (text, syntax, expected) in [
            ("", LIST, Some(&[][..])),
            ("  /a  /b ", LIST, Some(&["/a", "/b"])),
            (r#""/a b" '/c"d' /e"f"g"#, LIST, Some(&["/a b", "/c\"d", "/efg"])),
            (r"/a\ b", LIST, Some(&["/a b"])),
            ("'open", LIST, None),
            (r"/a\x20b\n", ESCAPED, Some(&["/a b\n"])),
            (r"/a\u00e4", ESCAPED, Some(&["/aä"])),
            (r"/a\101", ESCAPED, Some(&["/aA"])),
            (r"/a\q", ESCAPED, None),
            (r"/a\x00", ESCAPED, None),
            (r"/a\", ESCAPED, None),
            ("/a", PARTS, Some(&["/a"])),
            ("/a:/b:o", PARTS, Some(&["/a", "/b", "o"])),
            ("/a::o", PARTS, Some(&["/a", "", "o"])),
            (r"/a\:b:/c d", PARTS, Some(&["/a:b", "/c d"])),
        ] {
            let expected: Option<Vec<Vec<u8>>> =
                expected.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
            assert_eq!(split(text, syntax), expected, "{text}");
        }
    }
}
