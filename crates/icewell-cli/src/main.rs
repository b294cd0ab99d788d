//! The `icewell` command. [`args`] says what can be typed, [`commands`] does it, one verb per file.
#![allow(clippy::disallowed_methods, reason = "the files a command is given lie outside the cache directory")]

mod args;
mod clouds;
mod commands;
mod context;
mod exit;
mod failure;
mod glance_conf;
mod log;
mod output;
mod progress;
mod settings;
mod units;

fn main() -> std::process::ExitCode {
    commands::main(std::env::args_os()).into()
}
