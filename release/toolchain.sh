# Sourced by scripts in the root of the source: sets `toolchain`, the one that releases are built
# with, which is the oldest that is supported, and `target`, and installs what is missing of them.
target=x86_64-unknown-linux-musl
toolchain=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! libraries=$(rustc "+$toolchain" --print target-libdir --target "$target" 2>/dev/null) ||
    [[ ! -d $libraries ]]; then
    rustup --quiet toolchain install "$toolchain" --no-self-update --profile minimal \
        --target "$target" ||
        { echo "${0##*/}: Rust $toolchain for $target can't be installed" >&2; exit 1; }
fi
