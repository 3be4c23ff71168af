//! What stands behind a percent sign.

use std::fs;
use std::path::Path;

use super::Context;

/// A text with its specifiers replaced.
pub(super) struct Expanded {
    pub(super) text: String,
    /// The specifiers that stand for something of the machine that builds.
    pub(super) of_host: Vec<char>,
}

/// Replaces specifiers, but leaves those in `kept`, and `%%` with them if there are any.
///
/// The error is why it can't be done.
pub(super) fn expand(text: &str, context: &Context, kept: &str) -> Result<Expanded, String> {
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

fn value(specifier: char, context: &Context, of_host: &mut Vec<char>) -> Result<String, String> {
    let host = &context.host;
    let mut of_machine = |value: &Option<String>| {
        of_host.push(specifier);
        value.clone().ok_or_else(|| format!("%{specifier} is not known"))
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
        _ => Err(format!("there is no specifier %{specifier}")),
    }
}

fn root(context: &Context) -> &Path {
    context.root.as_deref().unwrap_or(Path::new("/"))
}

fn machine_id(context: &Context) -> Result<String, String> {
    let text = fs::read_to_string(root(context).join("etc/machine-id")).unwrap_or_default();
    let id = text.trim();
    let plain = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| id.to_ascii_lowercase()).ok_or_else(|| "the root has no machine id".to_owned())
}

/// A field of os-release; empty if it is not there.
fn os_release(context: &Context, field: &str) -> Result<String, String> {
    let read = |path| fs::read_to_string(root(context).join(path));
    let text = read("etc/os-release").or_else(|_| read("usr/lib/os-release"));
    let text = text.map_err(|error| format!("os-release can't be read: {error}"))?;
    let mut value = String::new();
    for line in text.lines() {
        if let Some(rest) = line.trim().strip_prefix(field).and_then(|rest| rest.strip_prefix('='))
        {
            value = unquote(rest);
        }
    }
    Ok(value)
}

/// A value of a shell assignment.
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
    use super::super::{Compat, Filter, Host, Overrides};
    use super::*;
    use crate::gpt::Architecture;

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
            host: Host { name: Some("a.b.c".into()), ..Host::default() },
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
            assert_eq!(expanded.as_ref().ok().map(|one| &*one.text), expected, "{text}");
            let seen = expanded.map(|one| one.of_host.iter().collect::<String>());
            assert_eq!(seen.unwrap_or_default(), of_host, "{text}");
        }
    }
}
