use super::*;

#[test]
fn the_pinned_versions_are_linked() {
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let at = lock.find(&format!("name = \"{name}\"\nversion = \"")).unwrap();
        lock[at..].split('"').nth(3).unwrap()
    };
    let (_, zstd) = version("zstd-sys").split_once("+zstd.").unwrap();
    assert_eq!(Zstd.version(), zstd);
    assert_eq!(zstd_safe::version_string(), zstd);
    assert_eq!(Zlib.version(), format!("zlib-rs {}", version("zlib-rs")));
    assert_eq!(Lzo.version(), format!("lzokay {}", version("lzokay")));
}
