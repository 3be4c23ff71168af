//! The machine ID of a root.

use std::path::Path;

use uuid::Uuid;

use super::root_path::read_text;
use crate::error::{Error, Result};

/// Returns the machine ID of a root; `None` if it is not initialized.
///
/// # Errors
/// [`Error::Source`] if the file can't be read, [`Error::Parameter`] if it does not hold a machine
/// ID.
pub fn machine_id(root: &Path) -> Result<Option<Uuid>> {
    let Some(text) = read_text(root, b"etc/machine-id")? else { return Ok(None) };
    let id = text.trim_end_matches('\n');
    match id {
        "" | "uninitialized" => Ok(None),
        _ if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(id.parse().ok().filter(|id: &Uuid| !id.is_nil()))
        }
        _ => Err(Error::parameter(
            "repart.root",
            "its etc/machine-id holds no machine id",
            "write 32 hexadecimal digits to it, or empty it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_machine_id_is_there_or_not_or_wrong() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(machine_id(root.path()).unwrap(), None);
        fs::create_dir(root.path().join("etc")).unwrap();
        let id = "0123456789abcdef0123456789ABCDEF";
        for (text, expected) in [
            ("", Some(None)),
            ("uninitialized\n", Some(None)),
            (&*"0".repeat(32), Some(None)),
            (id, Some(Some(id.parse().unwrap()))),
            (&*format!("{id}\n"), Some(Some(id.parse().unwrap()))),
            ("01234567-89ab-cdef-0123-456789abcdef\n", None),
            ("nonsense", None),
        ] {
            fs::write(root.path().join("etc/machine-id"), text).unwrap();
            assert_eq!(machine_id(root.path()).ok(), expected, "{text:?}");
        }
        fs::write(root.path().join("etc/machine-id"), b"\xff").unwrap();
        assert!(machine_id(root.path()).is_err());
    }
}
