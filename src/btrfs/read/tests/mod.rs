//! Images that are broken on purpose, before the verifier and before `btrfs check`.

mod image;
mod rules;
mod sample;
mod sweep;
