//! What pruner, cleaner and prefetcher have in common: the options, and the configuration that these lead to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser};
use icewell::Cache;

use super::{Tool, VERSION};
use crate::commands::explain;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::glance_conf::{Conf, GlanceConf, default_files, default_folders, expand_home};
use crate::log;
use crate::output::escape;

/// The options of oslo.config and oslo.log that Glance's tools take.
#[derive(Debug, Parser)]
#[command(version = VERSION, infer_long_args = true, disable_version_flag = true, max_term_width = 100)]
struct Args {
    /// Read the *.conf files of this folder; what comes later counts before what came earlier
    #[arg(long, value_name = "DIR")]
    config_dir: Vec<PathBuf>,

    /// Read this file instead of glance.conf, glance-api.conf and glance-cache.conf in the usual places
    #[arg(long, value_name = "PATH")]
    config_file: Vec<PathBuf>,

    /// Log everything
    #[arg(short, long, overrides_with = "nodebug")]
    debug: bool,

    /// The inverse of --debug
    #[arg(long, overrides_with = "debug")]
    nodebug: bool,

    /// Log into this file, too
    #[arg(long, alias = "logfile", value_name = "PATH")]
    log_file: Option<PathBuf>,

    /// The folder of the log file
    #[arg(long, alias = "logdir", value_name = "LOG_DIR")]
    log_dir: Option<PathBuf>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(flatten)]
    _without_effect: WithoutEffect,
}

/// Options that are taken, so that a line that works with Glance's tools works, and change nothing.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Without effect here")]
struct WithoutEffect {
    /// A configuration of Python's logging
    #[arg(long, aliases = ["log-config", "log_config"], value_name = "PATH")]
    log_config_append: Option<PathBuf>,
    /// How times look in the log
    #[arg(long)]
    log_date_format: Option<String>,
    /// The facility of syslog
    #[arg(long)]
    syslog_log_facility: Option<String>,
    /// Log to the journal
    #[arg(long)]
    use_journal: bool,
    /// Do not
    #[arg(long)]
    nouse_journal: bool,
    /// Log JSON
    #[arg(long)]
    use_json: bool,
    /// Do not
    #[arg(long)]
    nouse_json: bool,
    /// Log to syslog
    #[arg(long)]
    use_syslog: bool,
    /// Do not
    #[arg(long)]
    nouse_syslog: bool,
    /// Log more, with older Glances
    #[arg(short, long)]
    verbose: bool,
    /// Do not
    #[arg(long)]
    noverbose: bool,
}

/// The command line of the tool.
pub(super) fn command(tool: Tool) -> clap::Command {
    Args::command().name(tool.name()).bin_name(tool.name()).about(tool.about())
}

/// Runs the tool: reads the configuration, opens the cache it names, and does `run` to it.
pub(super) fn main(tool: Tool, arguments: &[OsString], run: fn(&Cache, &GlanceConf) -> Result) -> Exit {
    let matches = match command(tool).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explain(error, &format!("{}: error", tool.name())),
    };
    let done = Args::from_arg_matches(&matches).map_err(|error| Failure::failed(error.to_string())).and_then(|args| {
        let conf = configuration(tool, &args, &matches)?;
        init_log(tool, &args, &conf)?;
        let glance = GlanceConf::of(conf)?;
        let dir = glance.image_cache_dir.as_deref().ok_or_else(|| no_directory(&glance.conf))?;
        let cache = Cache::open(dir)?;
        run(&cache, &glance)
    });
    done.unwrap_or_else(|failure| {
        eprintln!("ERROR: {}", escape(&failure.to_string()));
        // Glance's tools know wrong usage of the command line only.
        Exit::Failed
    })
}

fn no_directory(conf: &Conf) -> Failure {
    let files: Vec<_> = conf.files().iter().map(|file| file.display().to_string()).collect();
    let read =
        if files.is_empty() { "no configuration file was found".into() } else { format!("read {}", files.join(", ")) };
    Failure::failed(format!("Failed to read image_cache_dir from config ({read})"))
}

/// What is said by the files that are named, in their order, over those in the usual places where none are.
fn configuration(tool: Tool, args: &Args, matches: &ArgMatches) -> Result<Conf> {
    let mut conf = Conf::default();
    if args.config_file.is_empty() {
        for file in ["glance-api", "glance-cache"].into_iter().flat_map(default_files) {
            conf.add_file(&file)?;
        }
    }
    if args.config_dir.is_empty() {
        for folder in default_folders(tool.name()) {
            conf.add_folder(&folder)?;
        }
    }
    let places = |id| matches.indices_of(id).into_iter().flatten();
    let files = places("config_file").zip(&args.config_file).map(|(place, path)| (place, path, false));
    let folders = places("config_dir").zip(&args.config_dir).map(|(place, path)| (place, path, true));
    let mut named: Vec<_> = files.chain(folders).collect();
    named.sort();
    for (_, path, is_folder) in named {
        let path = expand_home(path);
        if is_folder { conf.add_folder(&path)? } else { conf.add_file(&path)? }
    }
    Ok(conf)
}

fn init_log(tool: Tool, args: &Args, conf: &Conf) -> Result<()> {
    let debug = args.debug || (!args.nodebug && conf.flag("DEFAULT", "debug")?.unwrap_or_default());
    let set = |option: &Option<PathBuf>, key| {
        Ok::<_, Failure>(option.clone().or(conf.text("DEFAULT", key)?.map(PathBuf::from)))
    };
    let file = match (set(&args.log_dir, "log_dir")?, set(&args.log_file, "log_file")?) {
        (Some(dir), Some(file)) => Some(dir.join(file)),
        (Some(dir), None) => Some(dir.join(tool.name()).with_extension("log")),
        (None, file) => file,
    };
    let opened = file.map(|path| open_log(&path)).transpose()?;
    log::init_tool(tool.name(), debug, opened);
    Ok(())
}

fn open_log(path: &Path) -> Result<std::fs::File> {
    let opened = std::fs::File::options().append(true).create(true).open(path);
    opened.map_err(|error| Failure::io("open the log", path, &error))
}
