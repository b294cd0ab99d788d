//! The `icewell` command. [`args`] says what can be typed, [`commands`] does it, one verb per file. Called by the name of
//! one of Glance's own tools, it is that: [`glance_cache`].
#![allow(clippy::disallowed_methods, reason = "the files a command is given lie outside the cache directory")]

mod args;
mod clouds;
mod commands;
mod context;
mod exit;
mod failure;
#[cfg(test)]
mod fuzzing;
mod glance_cache;
mod glance_conf;
mod glance_db;
mod glance_findings;
mod log;
mod otlp;
mod output;
mod progress;
mod service_findings;
mod settings;
mod units;

fn main() -> std::process::ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let tool = arguments.first().and_then(|program| glance_cache::Tool::called(program));
    let exit = match tool {
        Some(tool) => tool.run(arguments),
        None => commands::main(arguments.into_iter()),
    };
    exit.into()
}
