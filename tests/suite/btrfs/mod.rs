//! btrfs images at the limits of the format, read by every oracle.

mod bad_input;
mod collisions;
mod compression;
mod dedup;
mod files;
mod flags;
mod image;
mod images;
mod inspect;
mod links;
mod mirrors;
mod nodes;
mod random_options;
mod random_trees;
mod sizes;
mod subvolumes;
mod swapfile;
mod xattrs;
