//! The command line: the only part that reads the environment, prints, or draws progress.
//!
//! Arguments are defined in `arguments` and converted in `values`; each subcommand has a file of
//! its own.

mod arguments;
mod btrfs;
mod build;
mod common_arguments;
mod compression;
mod erofs;
mod fakeroot;
mod fields;
mod format;
mod format_arguments;
mod help;
mod ids;
mod is_inside;
mod mkfs;
mod mkimage;
mod normalize;
mod owners;
mod patterns;
mod pipeline;
mod progress;
mod repart;
mod sha256_file;
mod signals;
mod signer;
mod source;
mod squashfs;
mod stage;
mod summary;
mod table;
mod terminal;
mod times;
mod uki_hook;
mod userns;
mod values;
mod version;

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::error::{Error, Result};
use crate::interrupt::uninterrupted;
use crate::name::{HostPath, Printable};
use crate::place::real;
use arguments::{Arguments, Command, StageCommand};
use fields::{FLAGS, Flags};
use terminal::{print, print_error, print_json, print_json_lines, print_notice, print_warning};

/// Runs the program with its arguments, its own name first, and returns the exit code: 0 for
/// success, 1 for a difference that a check was asked to find, 2 for wrong usage, 3 for input that
/// can't be represented, 4 for input and output errors.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    signals::watch();
    signals::watch_panics();
    let code = dispatch(arguments.into_iter().collect());
    // If a signal is being handled, wait until it ends the program.
    uninterrupted(|| code)
}

/// Returns the definition of the command line, for programs that generate manual pages and
/// completions from it. The program itself does not carry their generators.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

fn dispatch(arguments: Vec<OsString>) -> ExitCode {
    let is_repart =
        repart::is_called(&arguments) || arguments.get(1).is_some_and(|name| name == "repart");
    let words = arguments.clone();
    let parsed = if repart::is_called(&arguments) {
        repart::parse(arguments).map(|repart| Command::Repart(Box::new(repart)))
    } else {
        Arguments::try_parse_from(arguments).map(|arguments| arguments.command)
    };
    let command = match parsed {
        Ok(command) => command,
        Err(error) if is_repart && error.use_stderr() => {
            print_error(&one_line(&error));
            return 1.into();
        }
        Err(error) => return print_usage(&escaped(error, &words)),
    };
    let stages = match stages(&command) {
        Ok(stages) => stages,
        Err(error) => {
            print_error(&FLAGS.error(&error));
            return if is_repart { 1 } else { error.exit_code() }.into();
        }
    };
    let needs_root = stages && !rustix::process::geteuid().is_root();
    if needs_root {
        let code = userns::run_in(&words);
        if code == 0
            && let Command::Stage(stage) = &command
            && let StageCommand::Pacman(staged) = &stage.command
        {
            userns::explain(&staged.out);
        }
        return code.into();
    }
    let result = match &command {
        Command::Mkimage(arguments) => mkimage::run(arguments).map(done),
        Command::Mkfs(arguments) => mkfs::run(arguments).map(done),
        Command::Ids(arguments) => ids::run(arguments).map(done),
        Command::Normalize(arguments) => normalize::run(arguments),
        Command::Stage(arguments) => stage::run(arguments),
        Command::Build(arguments) => build::run(arguments).map(done),
        Command::Repart(arguments) => return repart::run(arguments),
        Command::Version(arguments) => version::run(arguments).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            fail(&error, &FLAGS, print_error);
            error.exit_code().into()
        }
    }
}

/// Returns whether the command stages packages. Rejects a library for faked owners that does not
/// answer, and staging with such a library.
fn stages(command: &Command) -> Result<bool> {
    // This must come before any file is read.
    let library = fakeroot::library()?;
    let stages = match command {
        Command::Stage(_) => true,
        Command::Build(build) => build::stages(&build.config),
        _ => false,
    };
    match library {
        Some(library) if stages => Err(Error::parameter(
            "LD_PRELOAD",
            format!("{library} is loaded, but packages are staged with real owners"),
            "run detfs without fakeroot: it creates a user namespace for unprivileged users",
        )),
        _ => Ok(stages),
    }
}

/// Prints the reason of a failure, unless the program is interrupted. If its output is a closed
/// pipe, the program ends by SIGPIPE, as other programs do.
fn fail(error: &Error, flags: &Flags, print: fn(&dyn Display)) {
    if matches!(error, Error::Output { source, .. } if source.kind() == ErrorKind::BrokenPipe) {
        signals::end_by_closed_pipe();
    }
    uninterrupted(|| print(&flags.error(error)));
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Prints help, or an error about the arguments, in colour on a terminal.
fn print_usage(error: &clap::Error) -> ExitCode {
    match (error.print(), error.use_stderr()) {
        // There is no place to report that an error can't be printed.
        (_, true) => 2.into(),
        (Ok(()), false) => ExitCode::SUCCESS,
        (Err(error), false) => {
            let error = Error::output("cannot write to standard output", error);
            fail(&error, &FLAGS, print_error);
            4.into()
        }
    }
}

/// Returns the same error about arguments without control characters, which must not reach a
/// terminal.
fn escaped(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let shown = arguments.iter().map(|it| Printable(&it.to_string_lossy()).to_string());
    // Without bytes that are not UTF-8, the arguments may be right. Such an error does not quote
    // them.
    Arguments::try_parse_from(shown).err().unwrap_or(error)
}

/// Formats an error about the arguments on one line, like all other errors.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim);
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let line = lines.join(" ").replace(" tip: ", "; ");
    format!("{}; see --help", line.trim_start_matches("error: "))
}

/// Maximum size of a text file named by an option, in bytes: far larger than hand-written files,
/// and small enough to parse in memory.
const TEXT_MAX: u64 = 4 << 20;

/// Reads the text file named by an option. What the system refuses is an error of input, as for the
/// tree; any other problem is one of the option.
fn text_of(parameter: &'static str, path: &Path, remedy: &str) -> Result<String> {
    text(path).map_err(|error| match error.raw_os_error() {
        Some(_) => Error::source(path.as_os_str().as_encoded_bytes(), "cannot read", error),
        None => {
            Error::parameter(parameter, format!("cannot read {}: {error}", HostPath(path)), remedy)
        }
    })
}

/// Reads a regular file or pipe of at most [`TEXT_MAX`] bytes. Devices are rejected because they
/// may never end.
fn text(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(io::Error::other("neither a regular file nor a pipe"));
    }
    let mut text = String::new();
    file.take(TEXT_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 {
        ..=TEXT_MAX => Ok(text),
        _ => Err(io::Error::other(format!("file is larger than {TEXT_MAX} bytes"))),
    }
}

/// Returns whether two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let place = |path: &Path| {
        real(path).map_err(|error| Error::output(format!("cannot find {}", HostPath(path)), error))
    };
    Ok(place(one)? == place(other)?)
}

/// Returns the directory for unnamed temporary files: `TMPDIR`, or else `/var/tmp`, which has more
/// space than a `/tmp` in memory.
fn spool() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here alone")]
    let variable = std::env::var_os("TMPDIR").filter(|path| !path.is_empty());
    variable.unwrap_or_else(|| "/var/tmp".into()).into()
}
