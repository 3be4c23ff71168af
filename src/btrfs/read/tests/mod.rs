//! Deliberately broken images, checked by the verifier and by `btrfs check`.

mod image;
mod rules;
mod sample;
mod sweep;
