//! The configuration file of `detfs build`, with the lines of its keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::cli::{is_same, text};
use crate::error::{Error, Result};

/// Number of the schema of configuration files.
const SCHEMA: u32 = 1;

/// The content of a configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BuildFile {
    schema: Option<u32>,
    pub(super) source_date_epoch: Option<Value>,
    pub(super) seed: Option<Value>,
    pub(super) seed_string: Option<Value>,
    pub(super) stage: Option<Table>,
    pub(super) image: Table,
}

/// The path of a configuration file and the lines of its keys, for errors and relative paths.
#[derive(Debug)]
pub(super) struct Locations {
    path: PathBuf,
    /// Lines by table and key. The table of the keys before all tables is empty.
    lines: BTreeMap<(String, String), u32>,
}

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> Result<(BuildFile, Locations)> {
    let mut locations = Locations { path: path.to_owned(), lines: BTreeMap::new() };
    if path.exists() && !path.is_file() {
        // Without root, the file is read again in a user namespace, so it can't be a pipe.
        return Err(locations.fault("", "", "not a regular file"));
    }
    let text = text(path).map_err(|error| match error.raw_os_error() {
        Some(_) => Error::source(path.as_os_str().as_encoded_bytes(), "cannot read", error),
        None => locations.fault("", "", &error.to_string()),
    })?;
    let line_at = |start: usize| {
        let lines = text[..start].matches('\n').count() + 1;
        u32::try_from(lines).unwrap_or(u32::MAX)
    };
    let fail = |error: toml::de::Error| Error::Definition {
        file: path.to_owned(),
        line: error.span().map_or(0, |span| line_at(span.start)),
        rule: error.message().into(),
        remedy: REMEDY.into(),
    };
    for (key, value) in DeTable::parse(&text).map_err(fail)?.get_ref() {
        let mut add = |table: &str, key: &toml::Spanned<_>| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            locations.lines.insert((table.into(), name.to_string()), line_at(key.span().start));
        };
        add("", key);
        if let DeValue::Table(table) = value.get_ref() {
            table.keys().for_each(|inner| add(key.get_ref(), inner));
        }
    }
    let build_file: BuildFile = toml::from_str(&text).map_err(fail)?;
    if let Some(schema) = build_file.schema.filter(|&schema| schema != SCHEMA) {
        let rule = format!("schema {schema} is unknown, this release reads {SCHEMA}");
        return Err(locations.fault("", "schema", &rule));
    }
    Ok((build_file, locations))
}

const REMEDY: &str = "see `detfs build --help`";

impl Locations {
    /// Returns whether a table has a key.
    pub(super) fn has(&self, table: &str, key: &str) -> bool {
        self.lines.contains_key(&(table.to_owned(), key.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns an error about a key of a table, or about the file as a whole if it has no such key.
    pub(super) fn fault(&self, table: &str, key: &str, rule: &str) -> Error {
        self.fault_with(table, key, rule, REMEDY.into())
    }

    pub(super) fn fault_with(&self, table: &str, key: &str, rule: &str, remedy: String) -> Error {
        let line = |table: &str| self.lines.get(&(table.to_owned(), key.to_owned())).copied();
        Error::Definition {
            file: self.path.clone(),
            line: line(table).or_else(|| line("")).unwrap_or(0),
            rule: rule.into(),
            remedy,
        }
    }

    /// Returns the path that is the value of a key, relative to the directory of the file.
    pub(super) fn path_of(&self, table: &str, key: &str, value: &Value) -> Result<PathBuf> {
        match value.as_str() {
            Some("") => Err(self.fault(table, key, &format!("`{key}` is empty"))),
            Some("-") => Ok("-".into()),
            Some(path) => Ok(self.path.parent().unwrap_or(Path::new("")).join(path)),
            None => Err(self.fault(table, key, &format!("`{key}` is not a path"))),
        }
    }

    /// Checks that files to be written differ from each other and from the configuration. Each is
    /// given with its table and key.
    pub(super) fn check_distinct(&self, written: &[(&str, &str, Option<&PathBuf>)]) -> Result<()> {
        let mut files = vec![("the configuration".to_owned(), self.path())];
        for &(table, key, path) in written {
            let Some(path) = path.filter(|path| *path != Path::new("-")) else { continue };
            for (other, file) in &files {
                if is_same(file, path)? {
                    return Err(self.fault(table, key, &format!("`{key}` is {other}")));
                }
            }
            files.push((format!("`{key}`"), path));
        }
        Ok(())
    }
}
