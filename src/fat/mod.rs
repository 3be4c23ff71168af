//! FAT
mod names;
mod spec;
mod time;
