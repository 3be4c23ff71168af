//! Tests of `detfs repart` against systemd-repart and against the calls of mkosi.

mod another_program;
mod bad_input;
mod build;
mod captures;
mod content;
mod deviations;
mod differential;
mod draw;
pub mod fixture;
mod image;
mod minimize;
mod scenarios;
mod settings;
mod side;
mod spellings;
mod unreadable;
