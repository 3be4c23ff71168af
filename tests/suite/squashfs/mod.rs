//! squashfs images at the limits of the format, read by every oracle.

mod bad_input;
mod image;
mod images;
mod limits;
mod random_trees;
mod read;
mod sizes;
