//! `detfs stage`.

mod check;
mod configuration;
mod pacman;

use std::process::ExitCode;

use super::arguments::{Stage, StageCommand};
use crate::error::Result;

pub(super) use pacman::{epoch, run as pacman};

pub(super) fn run(typed: &Stage) -> Result<ExitCode> {
    match &typed.command {
        StageCommand::Pacman(typed) => pacman::run(typed).map(|()| ExitCode::SUCCESS),
        StageCommand::Check(typed) => check::run(typed),
    }
}
