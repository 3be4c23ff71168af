//! The ext4 planner at the limits of the format.

mod checksums;
mod directories;
mod files;
mod flags;
mod geometry;
mod growth;
mod inodes;
pub mod inspect;
mod nodes;
mod sample;
mod seed;
mod surroundings;
mod swapfile;
mod times;
mod xattrs;

use detfs::ext4::Profile;

const PROFILES: [Profile; 4] = [Profile::Default, Profile::Modern, Profile::Boot, Profile::Ro];
const BLOCK_SIZES: [u32; 3] = [1024, 2048, 4096];
