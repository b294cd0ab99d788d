//! The verbs, one per file: the arguments of each, and what it does.

pub(crate) mod add;
pub(crate) mod adopt;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod fetch;
pub(crate) mod get;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod pin;
pub(crate) mod prune;
pub(crate) mod queue;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod unpin;
pub(crate) mod unqueue;
pub(crate) mod verify;

mod batch;
mod running;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;
use clap::error::ContextValue;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::log;
use crate::output::{Output, escape};

/// Does what `arguments` say, the name of the program first among them.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(error, "icewell"),
    };
    let output = Output::new(cli.global.json, cli.global.quiet);
    run(&cli, &output).unwrap_or_else(|failure| {
        if !matches!(failure, Failure::ReaderGone) {
            output.note(&failure);
        }
        failure.exit()
    })
}

/// Help and version are what was asked for; anything else is wrong usage.
pub(crate) fn explain(mut error: clap::Error, program: &str) -> Exit {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| std::io::stdout().flush());
        return printed.map_or_else(|error| Failure::stdout(&error).exit(), |()| Exit::Done);
    }
    // The arguments that it quotes may hold anything.
    let quoted: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in quoted {
        match value {
            ContextValue::String(text) => drop(error.insert(kind, ContextValue::String(escape(&text)))),
            ContextValue::Strings(texts) => {
                let texts = texts.iter().map(|text| escape(text)).collect();
                error.insert(kind, ContextValue::Strings(texts));
            }
            _ => {}
        }
    }
    let text = error.render().to_string();
    writeln!(std::io::stderr(), "{program}: {}", text.strip_prefix("error: ").unwrap_or(&text).trim_end()).ok();
    Exit::Usage
}

fn run(cli: &Cli, output: &Output) -> Result {
    let global = &cli.global;
    match &cli.command {
        // The daemon's configuration says how it logs; these two need no cache.
        Command::Serve(args) => return serve::run(args, global, &Context::new(global, output)?),
        Command::Completions(args) => return completions::run(args, output),
        Command::Man(args) => return man::run(args, output),
        _ => {}
    }
    log::init_command(global, output.progress())?;
    let context = Context::new(global, output)?;
    match &cli.command {
        Command::Serve(_) | Command::Completions(_) | Command::Man(_) => Ok(Exit::Done),
        Command::Ls(args) => ls::run(args, &context),
        Command::Status(args) => status::run(args, &context),
        Command::Top(args) => top::run(args, &context),
        Command::Add(args) => add::run(args, &context),
        Command::Get(args) => get::run(args, &context),
        Command::Rm(args) => rm::run(args, &context),
        Command::Queue(args) => queue::run(args, &context),
        Command::Unqueue(args) => unqueue::run(args, &context),
        Command::Pin(args) => pin::run(args, &context),
        Command::Unpin(args) => unpin::run(args, &context),
        Command::Fetch(args) => fetch::run(args, &context),
        Command::Prune(args) => prune::run(args, &context),
        Command::Clean(args) => clean::run(args, &context),
        Command::Verify(args) => verify::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
        Command::Config(args) => config::run(args, &context),
        Command::Adopt(args) => adopt::run(args, &context),
    }
}

/// The ID as it may stand in a line of text.
fn plain(id: &icewell::ImageId) -> String {
    escape(id.as_str())
}
