//! Images from packages, with pacman and with mmdebstrap.

mod arch;
mod debian;
mod failures;
mod fixture;
mod newer;
mod works;
