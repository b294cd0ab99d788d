//! `icewell man`: the manual pages.

use std::path::PathBuf;

use clap::CommandFactory;

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
    for command in [Cli::command().disable_help_subcommand(true)].into_iter().chain(glance_cache::commands()) {
        clap_mangen::generate_to(command, folder)
            .map_err(|error| Failure::io("write manual pages into", folder, &error))?;
    }
    output.say(&format!("wrote the manual pages into {}", folder.display()))?;
    Ok(Exit::Done)
}
