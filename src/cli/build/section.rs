//! Tables of a configuration file as arguments of a subcommand, so that there is only one parser.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, Parser};
use toml::{Table, Value};

use super::file::Locations;
use crate::cli::arguments::{Arguments, Command};
use crate::cli::fields::Flags;
use crate::error::{Error, Result};

/// A table whose keys are the long options of a subcommand.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) locations: &'a Locations,
    pub(super) table: &'static str,
    pub(super) subcommand: &'static [&'static str],
}

impl Section<'_> {
    pub(super) fn fault(&self, key: &str, rule: &str) -> Error {
        self.locations.fault(self.table, key, rule)
    }

    /// Returns an error about a value of another type than the key has.
    pub(super) fn wrong_type(&self, key: &str, value: &Value) -> Error {
        let name = value.type_str();
        let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
        self.fault(key, &format!("`{key}` can't be {article} {name}"))
    }

    /// Parses a table; `last` are the positional arguments.
    pub(super) fn parse(&self, table: &Table, last: &[OsString]) -> Result<Command> {
        let mut words: Vec<OsString> = vec!["detfs".into()];
        words.extend(self.subcommand.iter().map(OsString::from));
        for (key, value) in table {
            self.option(key, value, &mut words)?;
        }
        words.push("--".into());
        words.extend_from_slice(last);
        let parsed = Arguments::try_parse_from(words).map_err(|error| self.located(&error))?;
        Ok(parsed.command)
    }

    /// Returns whether a key is an option of the subcommand.
    pub(super) fn has(&self, key: &str) -> bool {
        self.argument(key).is_some()
    }

    fn option(&self, key: &str, value: &Value, words: &mut Vec<OsString>) -> Result<()> {
        let Some(argument) = self.argument(key) else { return Err(self.unknown(key)) };
        let text = match value {
            Value::Boolean(on) if !argument.get_action().takes_values() => {
                words.extend(on.then(|| format!("--{key}").into()));
                return Ok(());
            }
            other if !argument.get_action().takes_values() => {
                return Err(self.wrong_type(key, other));
            }
            Value::Array(values) if matches!(argument.get_action(), ArgAction::Append) => {
                return values.iter().try_for_each(|value| self.option(key, value, words));
            }
            Value::String(_) if is_path(&argument) => {
                self.locations.path_of(self.table, key, value)?.into_os_string()
            }
            Value::String(text) => text.into(),
            // TOML has dates and times of its own.
            Value::Datetime(time) if !is_path(&argument) => time.to_string().into(),
            Value::Integer(number) if !is_path(&argument) => number.to_string().into(),
            other => return Err(self.wrong_type(key, other)),
        };
        let mut word = OsString::from(format!("--{key}="));
        word.push(text);
        words.push(word);
        Ok(())
    }

    /// Returns the option with a long name.
    fn argument(&self, key: &str) -> Option<Arg> {
        let mut command = Arguments::command();
        for name in self.subcommand {
            command = command.find_subcommand(name)?.clone();
        }
        command.get_arguments().find(|option| option.get_long() == Some(key)).cloned()
    }

    /// Returns the error about a key that is not an option, with the most similar option.
    fn unknown(&self, key: &str) -> Error {
        let words = ["detfs"].into_iter().chain(self.subcommand.iter().copied());
        let words = words.map(str::to_owned).chain([format!("--{key}")]);
        let similar = Arguments::try_parse_from(words).err().and_then(|error| {
            let similar = text_of(error.get(ContextKind::SuggestedArg)?)?;
            self.argument(similar.trim_start_matches("--")).map(|_| key_of(similar))
        });
        let rule = format!("[{}] has no key `{key}`", self.table);
        match similar {
            Some(similar) => {
                let remedy = format!("did you mean {similar}?");
                self.locations.fault_with(self.table, key, &rule, remedy)
            }
            None => self.fault(key, &rule),
        }
    }

    /// Returns an error of the parser as an error about the key that it results from.
    fn located(&self, error: &clap::Error) -> Error {
        let text = |kind| error.get(kind).and_then(text_of).unwrap_or_default();
        let key = key_of(text(ContextKind::InvalidArg));
        let name = key.trim_matches('`');
        let of_value = |remedy| {
            let value = text(ContextKind::InvalidValue);
            let rule = format!("{key} can't be {value:?}");
            self.locations.fault_with(self.table, name, &rule, remedy)
        };
        match (error.kind(), error.get(ContextKind::ValidValue)) {
            (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => {
                let similar = text(ContextKind::SuggestedValue);
                let meant = match similar {
                    "" => String::new(),
                    similar => format!("; did you mean {similar:?}?"),
                };
                of_value(format!("use one of {}{meant}", valid.join(", ")))
            }
            (ErrorKind::ArgumentConflict, _) => {
                let other = key_of(text(ContextKind::PriorArg));
                self.fault(name, &format!("{key} can't be used together with {other}"))
            }
            (ErrorKind::MissingRequiredArgument, _) => {
                let missing = match error.get(ContextKind::InvalidArg) {
                    Some(ContextValue::Strings(all)) => all.iter().map(|one| key_of(one)).collect(),
                    _ => vec![key],
                };
                self.fault("", &format!("[{}] needs {}", self.table, missing.join(", ")))
            }
            _ => {
                let rendered = error.render().to_string();
                let first = rendered.lines().next().unwrap_or_default();
                self.fault(name, &self.keys(first.trim_start_matches("error: ")))
            }
        }
    }

    /// Returns an error about an option as an error about its key.
    pub(super) fn locate(&self, error: Error, flags: &Flags) -> Error {
        match error {
            Error::Parameter { field, rule, remedy } => {
                let flag = flags.of(field).unwrap_or(field);
                let key = flag.trim_start_matches("--");
                let rule = flags.text(&rule);
                let is_key = self.has(key) || self.locations.has(self.table, key);
                let rule = match is_key && flag != key {
                    true => format!("`{key}`: {}", self.keys(&rule)),
                    false => format!("{flag}: {}", self.keys(&rule)),
                };
                let remedy = self.keys(&flags.text(&remedy));
                self.locations.fault_with(self.table, key, &rule, remedy)
            }
            Error::Refused { path, rule, remedy } => {
                Error::Refused { path, rule, remedy: self.keys(&flags.text(&remedy)) }
            }
            error => error,
        }
    }

    /// Replaces the options of the subcommand in a text by keys, except for those that are options
    /// of `detfs build`.
    fn keys(&self, text: &str) -> String {
        let command = Arguments::command();
        let build = command.find_subcommand("build").expect("there is such a subcommand");
        let is_of_build =
            |name: &str| build.get_arguments().any(|option| option.get_long() == Some(name));
        let mut replaced = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("--") {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let (name, following) = after.split_at(end.unwrap_or(after.len()));
            replaced += before;
            replaced += &match self.argument(name) {
                Some(_) if !is_of_build(name) => format!("`{name}`"),
                _ => format!("--{name}"),
            };
            rest = following;
        }
        replaced + rest
    }
}

fn text_of(value: &ContextValue) -> Option<&str> {
    match value {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

/// Returns the key of an option, such as `--fs <FS>`.
fn key_of(option: &str) -> String {
    let name = option.trim_start_matches("--").split([' ', '=', '<', '[']).next();
    format!("`{}`", name.unwrap_or_default())
}

/// Returns whether an option takes a path.
fn is_path(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}
