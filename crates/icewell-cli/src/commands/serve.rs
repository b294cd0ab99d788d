//! `icewell serve`: the pull-through daemon.

use std::path::{Path, PathBuf};

use icewell_server::{Config, OnReady, Ready};

use crate::args::Global;
use crate::clouds;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::log::{self, LogFormat};
use crate::otlp;
use crate::settings::Settings;
use crate::units::{Size, Span};

/// Where images come from if nobody says.
const DEFAULT_ORIGIN: &str = "./images";

/// Serve images, and fetch from the origin those that are not cached
///
/// Each setting has one name: --max-size is max_size in the file and ICEWELL_MAX_SIZE in the environment. The option
/// counts before the environment, and that before the file. SIGTERM and SIGINT stop it gracefully.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "ICEWELL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

pub(crate) fn run(args: &Args, global: &Global, context: &Context<'_>) -> Result {
    let file = args.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let mut settings = args.settings.clone().or(file);
    let log_format = settings.log_format.unwrap_or_default();
    log::init_daemon(global, log_format)?;

    let glance = &context.glance;
    settings.max_size = settings.max_size.or(glance.image_cache_max_size.map(Size));
    settings.stall_time = settings.stall_time.or(glance.image_cache_stall_time.map(Span));

    let dir = context.dir(settings.dir.as_deref())?;
    let origin = match settings.origin.take() {
        Some(origin) => origin,
        None => {
            let path = Path::new(DEFAULT_ORIGIN);
            std::fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))?;
            DEFAULT_ORIGIN.into()
        }
    };
    let mut config = Config::new(dir, origin);
    if icewell_server::is_glance(&config.origin) {
        config.credentials = clouds::credentials_if_any(settings.os_cloud.as_deref())?;
    }
    config.traces = otlp::traces(settings.otlp_endpoint.as_deref(), settings.otlp_sample)?;
    settings.apply(&mut config);
    config.sources.extend(args.config.clone());
    // Who reads objects does not want lines among them.
    if log_format == LogFormat::Text {
        config.on_ready = Some(OnReady(Box::new(tell_how_to_try)));
    }
    icewell_server::serve(config)?;
    Ok(Exit::Done)
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
        eprintln!("icewell: health and metrics on http://{admin}/ (healthz, readyz, metrics); see also: icewell ls");
    }
}

/// A file of the folder that can be named in a URL as it is.
fn first_file(folder: &Path) -> Option<String> {
    let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let files = std::fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().is_file());
    files.filter_map(|entry| entry.file_name().into_string().ok()).filter(plain).min()
}
