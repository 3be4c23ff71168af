//! Keys that a manual page of a file format documents.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the keys in a section of a page in `docs/man`: the bold tags of its list.
pub(crate) fn keys(page: &str, section: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man").join(page);
    let text = fs::read_to_string(path).expect("the page is there");
    let sections = text.split(".SH ").find_map(|found| found.strip_prefix(section));
    let tags = sections.expect("the page has the section").split(".TP\n.B ").skip(1);
    tags.map(|tag| tag.lines().next().expect("a tag has a line").replace("\\-", "-")).collect()
}

/// Returns the fields of a table that rejects unknown ones, by the message about such a field.
pub(crate) fn fields<T: serde::de::DeserializeOwned>(text: &str) -> BTreeSet<String> {
    let error = match toml::from_str::<T>(text) {
        Ok(_) => panic!("{text} has no unknown field"),
        Err(error) => error.message().to_owned(),
    };
    let (_, expected) = error.split_once("expected one of ").expect("there are fields");
    expected.split(", ").map(|field| field.trim_matches('`').to_owned()).collect()
}
