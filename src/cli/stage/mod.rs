//! `detfs stage`.

mod check;
mod configuration;
mod pacman;

use std::process::ExitCode;

use super::arguments::{Stage, StageCommand};
use crate::error::Result;

pub(super) use pacman::{epoch, run as pacman};

pub(super) fn run(args: &Stage) -> Result<ExitCode> {
    match &args.command {
        StageCommand::Pacman(args) => pacman::run(args, false).map(|()| ExitCode::SUCCESS),
        StageCommand::Check(args) => check::run(args),
    }
}
