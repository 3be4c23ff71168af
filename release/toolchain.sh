# Sourced by the scripts in the root of the source: installs the toolchain that releases are built
# with, the oldest that is supported, and sets `toolchain` to its name and `target`.
target=x86_64-unknown-linux-musl
toolchain=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! rustup toolchain install "$toolchain" --no-self-update --profile minimal --target "$target" \
    >/dev/null; then
    echo "${0##*/}: Rust $toolchain for $target is neither installed nor can it be fetched" >&2
    exit 1
fi
