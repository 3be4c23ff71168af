//! Expands specifiers.

use super::context::Context;
use super::refusal::{Refusal, SettingResult};
use crate::repart::root_path::read_text;

/// A text with expanded specifiers.
pub(super) struct Expanded {
    pub(super) text: String,
    /// The specifiers in the text that depend on the host.
    pub(super) of_host: Vec<char>,
}

/// Expands specifiers except those in `kept`. If `kept` is not empty, `%%` is kept too.
///
/// # Errors
/// The reason why a specifier can't be expanded; fatal if a file can't be read.
pub(super) fn expand(text: &str, context: &Context, kept: &str) -> SettingResult<Expanded> {
    let mut expanded = Expanded { text: String::new(), of_host: Vec::new() };
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            expanded.text.push(next);
            continue;
        }
        match rest.next() {
            Some('%') if kept.is_empty() => expanded.text.push('%'),
            Some(kept_one) if kept_one == '%' || kept.contains(kept_one) => {
                expanded.text.extend(['%', kept_one]);
            }
            Some(specifier) => {
                expanded.text += &value(specifier, context, &mut expanded.of_host)?;
            }
            None => expanded.text.push('%'),
        }
    }
    Ok(expanded)
}

fn value(specifier: char, context: &Context, of_host: &mut Vec<char>) -> SettingResult<String> {
    let host = &context.host;
    let mut of_machine = |value: &Option<String>| {
        of_host.push(specifier);
        value.clone().ok_or_else(|| Refusal::from(format!("%{specifier} is not known")))
    };
    let short = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    match specifier {
        'a' => Ok(context.native.name().to_owned()),
        'b' => of_machine(&host.boot_id),
        'H' => of_machine(&host.name),
        'l' => of_machine(&host.name.as_ref().map(short)),
        'q' => of_machine(&host.pretty_name),
        'v' => of_machine(&host.kernel),
        'T' => Ok("/tmp".to_owned()),
        'V' => Ok("/var/tmp".to_owned()),
        'm' => machine_id(context),
        'A' => os_release(context, "IMAGE_VERSION"),
        'B' => os_release(context, "BUILD_ID"),
        'M' => os_release(context, "IMAGE_ID"),
        'o' => os_release(context, "ID"),
        'w' => os_release(context, "VERSION_ID"),
        'W' => os_release(context, "VARIANT_ID"),
        _ => Err(format!("unknown specifier %{specifier}").into()),
    }
}

fn machine_id(context: &Context) -> SettingResult<String> {
    let id = crate::repart::machine_id(context.root())?;
    Ok(id.ok_or("the root has no machine id")?.simple().to_string())
}

/// Returns the value of a field of os-release; empty if the field is missing.
fn os_release(context: &Context, field: &str) -> SettingResult<String> {
    let root = context.root();
    let text = match read_text(root, b"etc/os-release")? {
        Some(text) => Some(text),
        None => read_text(root, b"usr/lib/os-release")?,
    };
    let text = text.ok_or("the root has no os-release")?;
    let mut value = String::new();
    for line in text.lines() {
        if let Some(rest) = line.trim().strip_prefix(field).and_then(|rest| rest.strip_prefix('='))
        {
            value = unquote(rest);
        }
    }
    Ok(value)
}

/// Removes the quotes and escapes from the value of a shell assignment.
fn unquote(text: &str) -> String {
    let mut value = String::new();
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match (next, quote) {
            ('\\', None | Some('"')) => value.extend(rest.next()),
            ('"' | '\'', None) => quote = Some(next),
            (end, Some(quoted)) if end == quoted => quote = None,
            _ => value.push(next),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Compat, HostInfo, Overrides};
    use super::*;
    use crate::gpt::Architecture;
    use crate::repart::Filter;

    #[test]
    fn specifiers_stand_for_the_root_and_the_machine() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let release = "ID=arch\nIMAGE_ID='an \"image\"'\nIMAGE_VERSION=\"1.\\\"2\"\nVERSION_ID=7\n";
        fs::write(root.path().join("etc/os-release"), release).unwrap();
        fs::write(root.path().join("etc/machine-id"), "0123456789abcdef0123456789ABCDEF\n")
            .unwrap();
        let context = Context {
            root: Some(root.path().into()),
            native: Architecture::X86_64,
            architecture: None,
            host: HostInfo { name: Some("a.b.c".into()), ..HostInfo::default() },
            formats: crate::formats::Formats::default(),
            overrides: Overrides::default(),
            filter: Filter::All,
            compat: Compat::default(),
        };
        for (text, kept, expected, of_host) in [
            ("plain", "", Some("plain"), ""),
            ("%a-%%", "", Some("x86-64-%"), ""),
            ("%o %w %M %A %W", "", Some("arch 7 an \"image\" 1.\"2 "), ""),
            ("%m", "", Some("0123456789abcdef0123456789abcdef"), ""),
            ("%T%V", "", Some("/tmp/var/tmp"), ""),
            ("%H %l", "", Some("a.b.c a"), "Hl"),
            ("%t.%o.%%", "tTUn", Some("%t.arch.%%"), ""),
            ("end%", "", Some("end%"), ""),
            ("%v", "", None, ""),
            ("%Z", "", None, ""),
        ] {
            let expanded = expand(text, &context, kept);
            let expanded = expanded.ok();
            assert_eq!(expanded.as_ref().map(|one| &*one.text), expected, "{text}");
            let seen = expanded.map(|one| one.of_host.iter().collect::<String>());
            assert_eq!(seen.unwrap_or_default(), of_host, "{text}");
        }
    }
}
