//! Where images go: what they may overwrite, and what is there when a run fails or is ended.

mod interrupted;
mod pipes;
mod reports;
mod signatures;
mod sync;
mod thin;
