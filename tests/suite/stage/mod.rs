//! From packages to images: with the real pacman, and with mmdebstrap.

mod arch;
mod debian;
mod failures;
mod fixture;
mod newer;
mod works;
