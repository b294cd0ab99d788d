//! `icewell man`: the manual pages.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::glance_cache;
use crate::output::Output;

/// Write the manual pages of all commands, and of Glance's tools, into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; made if missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
    for mut command in [Cli::command().disable_help_subcommand(true)].into_iter().chain(glance_cache::commands()) {
        command.build();
        write(&command, folder).map_err(|error| Failure::io("write manual pages into", folder, &error))?;
    }
    output.say(&format!("wrote the manual pages into {}", folder.display()))?;
    Ok(Exit::Done)
}

/// The pages of a command and of those below it.
fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let verbs: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    for verb in &verbs {
        write(verb, folder)?;
    }
    let man = Man::new(command.clone()).source(concat!("icewell ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    // As in the help: all options in a row would say less than the list of them below.
    let usage = command.clone().render_usage().to_string();
    write!(page, ".SH SYNOPSIS\n{}", text(usage.trim_start_matches("Usage: ")))?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if !verbs.is_empty() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(notes) = command.get_after_long_help().or(command.get_after_help()) {
        write!(page, ".SH NOTES\n{}", text(&notes.to_string()))?;
    }
    std::fs::write(folder.join(man.get_filename()), page)
}

/// Text as a manual page has it: each line begins a new one, and is broken where it is too long; a list is left as it is.
fn text(text: &str) -> String {
    let list = text.contains("\n  ");
    let mut page = String::from(if list { ".nf\n" } else { "" });
    for line in text.trim().lines() {
        if !list {
            page += ".br\n";
        }
        // Nothing in it is a request, an escape or a hyphen that is not one.
        page += &format!("\\&{}\n", line.replace('\\', "\\e").replace('-', "\\-"));
    }
    page + if list { ".fi\n" } else { "" }
}
