//! What can be typed. Help, completions and man pages all come from here and from the verbs' own files.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

use crate::commands::{
    add, adopt, clean, completions, config, doctor, fetch, get, ls, man, pin, prune, queue, rm, serve, status, top,
    unpin, unqueue, verify,
};

/// An image cache for clouds: whole VM images on the local disk, one directory the whole database.
#[derive(Debug, Parser)]
#[command(name = "icewell", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Sizes are written as 10GiB, 500MB (10⁶ bytes each) or plain bytes; times as 24h, 90s or plain seconds.
Exit status: 0 done, 1 failed, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every verb has, before it or after it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The cache directory; made if missing
    ///
    /// Otherwise image_cache_dir of --glance-conf, or dir in /etc/icewell/icewell.toml; else /var/cache/icewell for root, and icewell in the user's cache
    /// directory ($XDG_CACHE_HOME, or ~/.cache) for anybody else.
    #[arg(long, global = true, value_name = "DIR", env = "ICEWELL_DIR", hide_env_values = true)]
    pub(crate) dir: Option<PathBuf>,

    /// Take image_cache_dir, image_cache_max_size and image_cache_stall_time from this glance-api.conf
    ///
    /// May be given several times, as glance-api.conf and glance-cache.conf: the later counts before the earlier. A folder
    /// stands for the *.conf in it.
    #[arg(long, global = true, value_name = "FILE", env = "ICEWELL_GLANCE_CONF", hide_env_values = true)]
    pub(crate) glance_conf: Vec<PathBuf>,

    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more to standard error: -v what is done, -vv how
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Print neither progress nor messages, only errors and what was asked for
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<serve::Args>),
    Ls(ls::Args),
    Status(status::Args),
    Top(top::Args),
    Add(add::Args),
    Get(get::Args),
    Rm(rm::Args),
    Queue(queue::Args),
    Unqueue(unqueue::Args),
    Pin(pin::Args),
    Unpin(unpin::Args),
    Fetch(fetch::Args),
    Prune(prune::Args),
    Clean(clean::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
    Config(Box<config::Args>),
    Adopt(adopt::Args),
    Completions(completions::Args),
    Man(man::Args),
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn every_command() -> Vec<clap::Command> {
        let mut root = Cli::command();
        root.build();
        let mut all: Vec<_> = root.get_subcommands().filter(|verb| verb.get_name() != "help").cloned().collect();
        all.push(root);
        all
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_and_every_option_has_help() {
        for command in every_command() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn one_rule_for_names() {
        for command in every_command() {
            for arg in command.get_arguments() {
                let (Some(long), Some(env)) = (arg.get_long(), arg.get_env()) else { continue };
                assert_eq!(arg.get_id().as_str(), long.replace('-', "_"));
                assert_eq!(env, format!("ICEWELL_{}", arg.get_id()).to_uppercase().as_str());
                // Help and man pages must not tell the environment they were made in.
                assert!(arg.is_hide_env_values_set(), "{long}");
            }
        }
    }
}
