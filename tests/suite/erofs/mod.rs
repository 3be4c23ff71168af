//! erofs images, read by every oracle.

mod bad_input;
mod compression;
mod fragments;
mod image;
mod images;
mod random_trees;
mod read;
