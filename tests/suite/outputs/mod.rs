//! Outputs of images: which outputs may be overwritten, and what is left if a run fails or is
//! terminated.

mod dry_run;
mod emit;
mod interrupted;
mod pipes;
mod rebuild;
mod reports;
mod signatures;
mod sync;
mod thin;
