//! Creates and verifies hash trees with `veritysetup`.

use std::path::Path;

use uuid::Uuid;

use super::tool::run;
use super::{Verdict, oracle_error};

/// Creates a hash tree with `veritysetup`.
///
/// Returns its bytes and its root hash in hex.
pub fn format(
    data: &Path,
    block_sizes: (u32, u32),
    salt: &[u8; 32],
    uuid: Uuid,
) -> (Vec<u8>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    let said = run(
        "veritysetup",
        [
            "format",
            &format!("--data-block-size={}", block_sizes.0),
            &format!("--hash-block-size={}", block_sizes.1),
            &format!("--salt={salt}"),
            &format!("--uuid={uuid}"),
            data.to_str().unwrap(),
            file.path().to_str().unwrap(),
        ],
    );
    assert!(said.ok, "veritysetup: {}", said.all());
    let root_hash = said.stdout.lines().find_map(|line| line.strip_prefix("Root hash:"));
    (std::fs::read(file.path()).unwrap(), root_hash.unwrap().trim().to_owned())
}

/// Verifies all of the data with `veritysetup` against its hash tree and root hash.
pub fn verify(data: &Path, hash: &Path, root_hash: &str) -> Verdict {
    let (data, hash) = (data.to_str().unwrap(), hash.to_str().unwrap());
    let said = run("veritysetup", ["verify", data, hash, root_hash]);
    match said.ok {
        true => Ok(()),
        false => oracle_error(format!("veritysetup: {}", said.all())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tool::flip;
    use super::*;

    #[test]
    fn a_flipped_bit_is_found() {
        let scratch = tempfile::tempdir().unwrap();
        let [data, hash] = ["data", "hash"].map(|name| scratch.path().join(name));
        for (what, path, offset) in [
            ("first block", &data, 0),
            ("last block", &data, 199 * 4096 + 4095),
            ("lowest level", &hash, 3 * 4096),
            ("highest level", &hash, 4096),
            ("salt", &hash, 88),
        ] {
            std::fs::write(&data, [7; 200 * 4096]).unwrap();
            let (tree, root_hash) = format(&data, (4096, 4096), &[1; 32], Uuid::nil());
            std::fs::write(&hash, tree).unwrap();
            verify(&data, &hash, &root_hash).unwrap();
            flip(path, offset);
            verify(&data, &hash, &root_hash).expect_err(what);
        }
    }
}
