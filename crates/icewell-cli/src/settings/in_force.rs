//! What is in force: of each setting the value of the first layer that has one, and which layer that is.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Command, FromArgMatches};

use super::about::{self, About, DIR};
use super::{File, Settings, Typed};
use crate::failure::{Failure, Result};

/// Where a value comes from, those that count first before the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// An option of the command.
    Option,
    /// The environment.
    Environment,
    /// The file, at this line.
    File(usize),
    /// Glance's own file.
    Glance,
    /// Nobody has set it.
    Default,
}

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) about: About,
    /// None where it is not set and its default is no value.
    pub(crate) value: Option<OsString>,
    pub(crate) layer: Layer,
}

/// All settings as they are in force.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) rows: Vec<Row>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
}

impl InForce {
    /// Of each setting what counts first.
    pub(crate) fn of(typed: &Typed, file: &File) -> Self {
        let rows = about::all().into_iter().map(|about| {
            let id = about.id();
            let typed = typed.0.iter().filter(|(key, ..)| key == id).map(|(_, value, layer)| (*layer, value.clone()));
            let in_file = file.values.iter().filter(|value| value.key == id);
            let in_file = in_file.map(|value| (Layer::File(value.line), OsString::from(&value.text)));
            let (layer, value) = match typed.chain(in_file).min() {
                Some((layer, value)) => (layer, Some(value)),
                None => (Layer::Default, about.usual.value.clone().map(Into::into)),
            };
            Row { about, value, layer }
        });
        InForce { rows: rows.collect(), file: file.path.clone() }
    }

    /// What somebody has set, for the daemon.
    ///
    /// # Errors
    ///
    /// A value that was no value where it came from; each layer has checked its own.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let command = Command::new("icewell").no_binary_name(true).args(self.rows.iter().map(|row| row.about.alone()));
        let set = self.rows.iter().filter(|row| row.layer != Layer::Default && row.about.id() != DIR);
        let arguments = set.filter_map(|row| {
            let mut argument = OsString::from(row.about.option());
            argument.push("=");
            argument.push(row.value.as_ref()?);
            Some(argument)
        });
        let matches = command.try_get_matches_from(arguments);
        let settings = matches.and_then(|matches| Settings::from_arg_matches(&matches));
        settings
            .map_err(|error| Failure::usage(error.render().to_string().trim_start_matches("error: ").trim().to_owned()))
    }

    /// The cache directory, if anybody named one.
    pub(crate) fn dir(&self) -> Option<&Path> {
        let row = self.rows.iter().find(|row| row.about.id() == DIR && row.layer != Layer::Default)?;
        row.value.as_deref().map(Path::new)
    }
}

impl Row {
    /// The value as it may be shown: no password of a URL.
    pub(crate) fn shown(&self) -> Option<String> {
        let value = self.value.as_ref()?.to_string_lossy();
        Some(if self.about.id() == "origin" { without_password(&value) } else { value.into_owned() })
    }

    /// What is done by it, in words.
    pub(crate) fn told(&self) -> String {
        let words = self.about.usual.words.filter(|_| self.layer == Layer::Default);
        words.map(str::to_owned).or_else(|| self.shown()).unwrap_or_else(|| "none".into())
    }

    /// Where it comes from, in words.
    pub(crate) fn from(&self, file: Option<&Path>) -> String {
        match self.layer {
            Layer::Option => self.about.option(),
            Layer::Environment => self.about.variable(),
            Layer::File(line) => format!("{}:{line}", file.unwrap_or(Path::new("file")).display()),
            layer @ (Layer::Glance | Layer::Default) => layer.to_string(),
        }
    }
}

/// `http://user:***@host/` for `http://user:secret@host/`.
fn without_password(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
        let (user, _) = authority.rsplit_once('@')?.0.split_once(':')?;
        let at = authority.rfind('@')?;
        Some(format!("{scheme}://{user}:***{}", &rest[at..]))
    };
    hidden().unwrap_or_else(|| url.to_owned())
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Option => "option",
            Layer::Environment => "environment",
            Layer::File(_) => "file",
            Layer::Glance => "glance",
            Layer::Default => "default",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("http://user:secret@host:80/a@b", "http://user:***@host:80/a@b"),
            ("http://user:s:e@c@host", "http://user:***@host"),
            ("http://user@host/", "http://user@host/"),
            ("http://host/x:y@z", "http://host/x:y@z"),
            ("./images", "./images"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
