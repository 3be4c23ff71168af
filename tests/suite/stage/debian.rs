//! Debian: two installations by mmdebstrap.

use std::fs;
use std::path::Path;

use super::ground::{image, rules};
use crate::oracle::shell;

/// The packages have scriptlets that write logs, ids and compiled Python modules. The time is that
/// of the clock: a second installation has others.
const INSTALL: &str = "
    suite=$(. /etc/os-release; echo \"$VERSION_CODENAME\")
    mmdebstrap --quiet --variant=minbase --skip=cleanup/reproducible --include=\"$2\" \"$suite\" \"$1\"";

const PACKAGES: &str = "dbus,openssl,python3-minimal,systemd";

#[test]
#[ignore = "installs Debian twice"]
fn two_installs_at_different_times_are_one_image() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let tree = scratch.path().join(name);
        shell(INSTALL, &[&tree, Path::new(PACKAGES)]);
        tree
    });
    let machine_id = |tree: &Path| fs::read(tree.join("etc/machine-id")).unwrap();
    // Installed systems have one; mmdebstrap's have it from systemd's scriptlet.
    assert_ne!(machine_id(&one), machine_id(&two));
    assert_ne!(image(&one, &["--normalize=none"]).0, image(&two, &["--normalize=none"]).0);
    let (hash, manifest) = image(&one, &[]);
    let (other, other_manifest) = image(&two, &[]);
    let fired = rules(&manifest);
    assert_eq!(manifest["normalization"], other_manifest["normalization"], "{fired:?}");
    assert_eq!(hash, other, "{fired:?}");
    for rule in ["machine-id", "dpkg-logs", "apt-lists", "ldconfig-cache", "python-modules"] {
        assert!(fired.iter().any(|fired| fired == rule), "{rule}: {fired:?}");
    }
}
