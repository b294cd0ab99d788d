//! What was given besides the file: each setting as its text, and which layer that is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::Layer;
use super::about;
use crate::glance_conf::GlanceConf;

/// The settings that were given with the command. As a part of a verb's arguments it has all of [`Settings`]' options.
///
/// One setting may be there several times, in different layers.
///
/// [`Settings`]: super::Settings
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed(pub(super) Vec<(String, OsString, Layer)>);

impl Typed {
    /// What stands in the environment, for a verb that does not take the options.
    ///
    /// # Errors
    ///
    /// A value that makes no sense.
    pub(crate) fn in_environment() -> Result<Self, clap::Error> {
        let command =
            Command::new("icewell").no_binary_name(true).args(about::all().into_iter().map(about::About::into_option));
        Typed::from_arg_matches(&command.try_get_matches_from::<_, &str>([])?)
    }

    /// These, and below them what Glance's own file says.
    pub(crate) fn over(mut self, glance: &GlanceConf) -> Self {
        let seconds = |time: Duration| time.as_secs().to_string().into();
        let below = [
            (about::DIR, glance.image_cache_dir.clone().map(PathBuf::into_os_string)),
            ("max_size", glance.image_cache_max_size.map(|bytes| bytes.to_string().into())),
            ("stall_time", glance.image_cache_stall_time.map(seconds)),
        ];
        self.0.extend(below.into_iter().filter_map(|(id, value)| Some((id.to_owned(), value?, Layer::Glance))));
        self
    }
}

impl Args for Typed {
    fn augment_args(command: Command) -> Command {
        let options = about::all().into_iter().filter(|about| about.id() != about::DIR);
        command.args(options.map(about::About::into_option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = about::all().into_iter().filter_map(|about| {
            let id = about.id();
            // The directory is not among the arguments of each command that is made of these.
            let value = matches.try_get_raw(id).ok().flatten()?.next_back()?.to_owned();
            let layer = match matches.value_source(id) {
                Some(ValueSource::EnvVariable) => Layer::Environment,
                _ => Layer::Option,
            };
            Some((id.to_owned(), value, layer))
        });
        Ok(Typed(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
