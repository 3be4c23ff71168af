//! Generates manual pages and shell completions.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

/// Directory of the manual pages of file formats, which are written by hand.
const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/man");

/// Writes manual pages to `man` in a directory, and completions to `completions`.
pub(crate) fn generate(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut command = detfs::command();
    for (shell, name) in
        [(Shell::Bash, "detfs.bash"), (Shell::Zsh, "_detfs"), (Shell::Fish, "detfs.fish")]
    {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "detfs", &mut script);
        fs::write(completions.join(name), script)?;
    }
    let mut pages = vec![detfs::command().disable_help_subcommand(true)];
    pages[0].build();
    while let Some(command) = pages.pop() {
        pages.extend(command.get_subcommands().cloned());
        write_page(command, &man)?;
    }
    for name in ["detfs-image.toml.5", "detfs-rules.5"] {
        fs::copy(Path::new(FORMATS).join(name), man.join(name))?;
    }
    Ok(())
}

/// Writes the manual page of a command. The text after its help becomes sections of their own.
fn write_page(command: clap::Command, directory: &Path) -> io::Result<()> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_subcommands = command.has_subcommands();
    let man = Man::new(command);
    let name = man.get_filename();
    let mut file = File::create(directory.join(&name))?;
    // Without a date, which is the third argument.
    let title = name.trim_end_matches(".1").to_uppercase().replace('-', "\\-");
    let version = env!("CARGO_PKG_VERSION");
    writeln!(file, ".TH {title} 1 \"\" \"detfs {version}\" \"User Commands\"")?;
    man.render_name_section(&mut file)?;
    man.render_synopsis_section(&mut file)?;
    man.render_description_section(&mut file)?;
    man.render_options_section(&mut file)?;
    if has_subcommands {
        man.render_subcommands_section(&mut file)?;
    }
    for section in after.split("\n\n").filter(|section| !section.is_empty()) {
        let (heading, lines) = section.split_once(":\n").unwrap_or((section, ""));
        let lines = lines.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        writeln!(file, ".SH {}\n.nf\n{lines}\n.fi", heading.to_uppercase())?;
    }
    writeln!(
        file,
        ".SH SEE ALSO\n.BR detfs (1),\n.BR detfs\\-image.toml (5),\n.BR detfs\\-rules (5)"
    )
}
