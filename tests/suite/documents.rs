//! Documents and comments: lines are short enough, and the targets of links exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of characters in a line.
const COLUMNS: usize = 100;

/// Returns the files with `extension` in the repository, except build output.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR"))];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_dir() {
                if !name.to_string_lossy().starts_with('.') && name != "target" {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the line numbers, from 1, of lines that are too long.
///
/// Tables, code blocks and lines of a single word, such as an address, can't be wrapped and are
/// skipped.
fn long_lines(text: &str, is_checked: impl Fn(&str) -> bool) -> Vec<usize> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        let is_table = line.starts_with('|');
        let is_word = line.split_whitespace().filter(|word| word.len() > 3).count() < 2;
        let is_long = line.chars().count() > COLUMNS;
        if is_long && is_checked(line) && !in_code && !is_table && !is_word {
            found.push(number + 1);
        }
    }
    found
}

/// Returns the targets of relative links that do not exist in `directory`, the document's own.
fn broken_links(text: &str, directory: &Path) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let relative = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
    let is_broken = |target: &&str| match target.split_once('#') {
        Some(("", anchor)) => !anchors(text).any(|found| found == anchor),
        Some((path, anchor)) => match fs::read_to_string(directory.join(path)) {
            Ok(other) => !anchors(&other).any(|found| found == anchor),
            Err(_) => true,
        },
        None => !directory.join(target).exists(),
    };
    relative.filter(is_broken).map(String::from).collect()
}

/// Returns the anchors of the headings of a document.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[test]
fn lines_have_at_most_100_columns() {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let documents = files("md").into_iter().map(|path| (path, false));
    for (path, is_source) in documents.chain(files("rs").into_iter().map(|path| (path, true))) {
        let text = fs::read_to_string(&path).unwrap();
        let long = long_lines(&text, |line| !is_source || is_comment(line));
        assert!(long.is_empty(), "{path:?}: lines {long:?}");
    }
}

#[test]
fn links_lead_somewhere() {
    let documents = files("md");
    assert!(documents.len() >= 3, "{documents:?}");
    for path in documents {
        let broken = broken_links(&fs::read_to_string(&path).unwrap(), path.parent().unwrap());
        assert!(broken.is_empty(), "{path:?}: {broken:?}");
    }
}

#[test]
fn long_lines_and_broken_links_are_found() {
    let long = "word ".repeat(21);
    let text = format!("{long}\n| {long}|\n```\n{long}\n```\nhttps://{}\n", "x".repeat(100));
    assert_eq!(long_lines(&text, |_| true), [1]);
    let text = "# A title\n[a](README.md) [b](#a-title) [c](nowhere.md) [d](#nothing) \
                [e](README.md#nothing) [f](https://example.org)";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(broken_links(text, root), ["nowhere.md", "#nothing", "README.md#nothing"]);
}
