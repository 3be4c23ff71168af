//! Values of settings.

use super::refusal::SettingResult;
use super::split_words::Malformed;
use super::values;
use crate::disk::WEIGHT_MAX;
use crate::error::Result;
use crate::repart::TreePath;

/// Normalizes an absolute path.
pub(super) fn absolute(text: &str) -> SettingResult<TreePath> {
    if !text.starts_with('/') {
        return Err("not an absolute path".into());
    }
    if text.contains('\0') {
        return Err("path contains a NUL byte".into());
    }
    let mut names = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => return Err("path contains `..`".into()),
            name => names.push(name),
        }
    }
    Ok(names.join("/").into_bytes())
}

pub(super) fn text(word: Result<Vec<u8>, Malformed>) -> SettingResult<String> {
    let word = word.map_err(|Malformed| "unclosed quote or invalid escape sequence")?;
    String::from_utf8(word).map_err(|_| "not UTF-8".into())
}

/// Sets `field` to `value` unless `value` is an error.
pub(super) fn put<T>(field: &mut T, value: SettingResult<T>) -> SettingResult {
    *field = value?;
    Ok(())
}

pub(super) fn boolean(text: &str) -> SettingResult<bool> {
    values::boolean(text).ok_or("not a boolean".into())
}

pub(super) fn tristate(text: &str) -> SettingResult<Option<bool>> {
    if text.is_empty() { Ok(None) } else { boolean(text).map(Some) }
}

pub(super) fn integer(text: &str) -> SettingResult<i32> {
    text.parse().map_err(|_| "not a number from -2147483648 to 2147483647".into())
}

pub(super) fn weight(text: &str) -> SettingResult<u32> {
    let weight = values::unsigned(text).and_then(|weight| u32::try_from(weight).ok());
    weight
        .filter(|&weight| weight <= WEIGHT_MAX)
        .ok_or_else(|| format!("not a number from 0 to {WEIGHT_MAX}").into())
}
