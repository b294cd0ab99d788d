//! `icewell completions`: what a shell needs to complete our command lines.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Output;

/// Print a completion script for a shell
///
/// For bash: icewell completions bash > ~/.local/share/bash-completion/completions/icewell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &Args, output: &Output) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "icewell", &mut script);
    output.print(&script)?;
    Ok(Exit::Done)
}
