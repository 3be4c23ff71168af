//! Entries of the Boot Loader Specification (UAPI.1), type #1.

/// An entry, or another file with a key and a value on each line.
#[derive(Debug)]
pub(crate) struct Entry(Vec<(String, String)>);

impl Entry {
    /// Parses the text of an entry.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let fields = lines.filter_map(|line| line.split_once(char::is_whitespace));
        Self(fields.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
    }

    /// Returns the values of a key.
    pub(crate) fn values<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// Returns the last value of a key, which is the one that counts.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values(key).last()
    }
}

/// Returns the name of an entry or a unified kernel image without its counter of boots, such as
/// `+3` or `+2-1` before the extension.
pub(crate) fn without_counter(name: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_counter = |text: &str| match text.split_once('-') {
        Some((left, done)) => is_number(left) && is_number(done),
        None => is_number(text),
    };
    let Some((stem, extension)) = name.rsplit_once('.') else { return name.to_owned() };
    match stem.rsplit_once('+') {
        Some((stem, counter)) if is_counter(counter) => format!("{stem}.{extension}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_parsed() {
        let text = "# comment\r\ntitle\tA title\r\n\r\ninitrd  /a\r\ninitrd /b \r\nversion\r\n\
                    linux /x\nlinux /y";
        let entry = Entry::parse(text);
        assert_eq!(entry.value("title"), Some("A title"));
        assert_eq!(entry.values("initrd").collect::<Vec<_>>(), ["/a", "/b"]);
        assert_eq!(entry.value("linux"), Some("/y"));
        assert_eq!((entry.value("version"), entry.value("efi")), (None, None));
    }

    #[test]
    fn counters_are_no_part_of_a_name() {
        for (name, expected) in [
            ("a.conf", "a.conf"),
            ("a+3.conf", "a.conf"),
            ("a+3-1.conf", "a.conf"),
            ("a-6.1+deb12.efi", "a-6.1+deb12.efi"),
            ("a+.conf", "a+.conf"),
            ("a+3-.conf", "a+3-.conf"),
            ("a+3", "a+3"),
        ] {
            assert_eq!(without_counter(name), expected);
        }
    }
}
