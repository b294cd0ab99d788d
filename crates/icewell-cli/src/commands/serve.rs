//! `icewell serve`: the pull-through daemon.

use std::path::{Path, PathBuf};

use icewell_server::{Config, OnReady, OnReload, Ready};

use crate::args::Global;
use crate::clouds;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::log::{self, LogFormat};
use crate::otlp;
use crate::output::Output;
use crate::settings::{File, InForce, Reload, Settings, Typed};

/// Where images come from if nobody says.
const DEFAULT_ORIGIN: &str = "./images";

/// Serve images, and fetch from the origin those that are not cached
///
/// Each setting has one name: --max-size is max_size in the file and ICEWELL_MAX_SIZE in the environment. The option
/// counts before the environment, and that before the file. SIGTERM and SIGINT stop it gracefully, SIGHUP makes it read
/// the file again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read settings from this TOML file, or from none: "off" [default: /etc/icewell/icewell.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "ICEWELL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Typed,
}

pub(crate) fn run(args: &Args, global: &Global, context: &Context<'_>) -> Result {
    let file = read(args.config.as_deref(), context.output)?;
    let typed = args.settings.clone().over(&context.glance);
    let in_force = InForce::of(&typed, &file);
    let settings = in_force.settings()?;
    let log_format = settings.log_format.unwrap_or_default();
    let relog = log::init_daemon(global, log_format, settings.log.as_deref())?;
    if settings.origin.is_none() {
        let path = Path::new(DEFAULT_ORIGIN);
        std::fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))?;
    }
    let mut config = configured(settings, &in_force, context)?;
    // Also one that is made only later.
    config.sources.extend(File::place(args.config.as_deref()));
    // Who reads objects does not want lines among them.
    if log_format == LogFormat::Text {
        config.on_ready = Some(OnReady(Box::new(tell_how_to_try)));
    }
    let named = args.config.clone();
    let mut reload = Reload { typed, named, running: in_force, relog, global: global.clone() };
    config.on_reload = Some(OnReload(Box::new(move || reload.read())));
    icewell_server::serve(config)?;
    Ok(Exit::Done)
}

/// Reads the file of settings: this one, or the usual one if it is there. Of several things that are wrong with it each is
/// told.
pub(super) fn read(named: Option<&Path>, output: &Output) -> Result<File> {
    File::read(File::find(named)).map_err(|mut wrong| {
        let last = wrong.pop();
        for one in wrong {
            output.note(one);
        }
        Failure::usage(last.map(|one| one.to_string()).unwrap_or_default())
    })
}

/// What the daemon is told.
pub(crate) fn configured(settings: Settings, in_force: &InForce, context: &Context<'_>) -> Result<Config> {
    let origin = settings.origin.clone().unwrap_or_else(|| DEFAULT_ORIGIN.into());
    let mut config = Config::new(context.dir_of_daemon(in_force.dir())?, origin);
    if icewell_server::is_glance(&config.origin) {
        config.credentials = clouds::credentials_if_any(settings.os_cloud.as_deref())?;
    }
    config.traces = otlp::traces(settings.otlp_endpoint.as_deref(), settings.otlp_sample)?;
    settings.apply(&mut config);
    Ok(config)
}

/// What would keep the daemon from starting with these settings, as far as it can be told without starting.
pub(crate) fn problems(in_force: &InForce, context: &Context<'_>) -> Result<Vec<String>> {
    let settings = in_force.settings()?;
    // The usual folder is made when it is missing.
    let made = settings.origin.is_none() && !Path::new(DEFAULT_ORIGIN).exists();
    let mut config = match configured(settings, in_force, context) {
        Ok(config) => config,
        Err(failure) => return Ok(vec![failure.to_string()]),
    };
    if made {
        config.origin.clear();
    }
    let errors = icewell_server::check(&config);
    Ok(errors.into_iter().map(|error| Failure::from(error).to_string()).collect())
}

/// Tells a person at a terminal what to type next; a service's log says the same in its own way.
fn tell_how_to_try(ready: &Ready) {
    let Ready { listen, scheme, admin, origin, folder } = ready;
    eprintln!("icewell: serving {origin} on {scheme}://{listen}/");
    match folder {
        Some(folder) => match first_file(folder) {
            Some(name) => {
                eprintln!(
                    "icewell: try:  curl -sD- -o /dev/null {scheme}://{listen}/{name}   (twice: the second is a hit)"
                )
            }
            None => eprintln!(
                "icewell: try:  cp SOME.img {}/ && curl -sD- -o /dev/null {scheme}://{listen}/SOME.img",
                folder.display()
            ),
        },
        None => eprintln!("icewell: try:  curl -sD- -o /dev/null {scheme}://{listen}/PATH/OF/AN/IMAGE"),
    }
    if let Some(admin) = admin {
        eprintln!(
            "icewell: see:  http://{admin}/ in a browser (healthz, readyz and metrics are there, too), or icewell status"
        );
    }
}

/// A file of the folder that can be named in a URL as it is.
fn first_file(folder: &Path) -> Option<String> {
    let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let files = std::fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().is_file());
    files.filter_map(|entry| entry.file_name().into_string().ok()).filter(plain).min()
}
