//! Reads images with GRUB's file system code, which supports fewer features than the kernel and no
//! journal.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::tool::run;
use super::{Verdict, oracle_error};

fn inside(path: &str) -> OsString {
    format!("(loop0)/{path}").into()
}

/// Lists a non-empty directory of an image.
///
/// If GRUB does not recognize the file system, it prints nothing and reports no error, so an empty
/// listing is an error.
pub fn grub_ls(image: &Path, path: &str) -> Verdict<String> {
    let path = inside(path);
    let said = run("grub-fstest", [image.as_os_str(), OsStr::new("ls"), &path]);
    if said.ok && said.stderr.is_empty() && !said.stdout.trim().is_empty() {
        Ok(said.stdout)
    } else {
        oracle_error(format!("grub-fstest lists nothing: {}", said.all()))
    }
}

/// Compares a file in an image with a file on the host.
pub fn grub_cmp(image: &Path, path: &str, with: &Path) -> Verdict {
    let path = inside(path);
    let args = [image.as_os_str(), OsStr::new("cmp"), &path, with.as_os_str()];
    let said = run("grub-fstest", args);
    if said.ok && said.all().is_empty() {
        Ok(())
    } else {
        oracle_error(format!("grub-fstest: {}", said.all()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ext4::tests::Sample;
    use super::super::tool::shell;
    use super::*;

    #[test]
    fn files_are_found_and_compared() {
        let sample = Sample::new();
        let file = sample.source.join("dir/file");
        assert_eq!(grub_ls(&sample.image, "dir/").unwrap().trim(), "big file");
        grub_cmp(&sample.image, "dir/file", &file).unwrap();
        grub_cmp(&sample.image, "dir/big", &sample.source.join("dir/big")).unwrap();
        grub_cmp(&sample.image, "link", &file).unwrap();

        grub_cmp(&sample.image, "dir/missing", &file).unwrap_err();
        grub_cmp(&sample.image, "dir/big", &file).unwrap_err();
        shell("printf hellp >$1", &[&file]);
        grub_cmp(&sample.image, "dir/file", &file).unwrap_err();
    }

    #[test]
    fn a_feature_that_grub_does_not_know_is_a_complaint() {
        let sample = Sample::new();
        shell("mke2fs -q -F -t ext4 -O inline_data $1 32M", &[&sample.image]);
        grub_ls(&sample.image, "").unwrap_err();
    }
}
