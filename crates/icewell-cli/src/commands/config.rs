//! `icewell config`: the settings of the daemon, looked at and looked over.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::serve;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Column;
use crate::settings::{self, File, InForce, Typed, Wrong};

/// Show the settings of the daemon: what is in force and where it comes from, or whether a file is right
///
/// It takes the options of icewell serve, and reads the environment and the file as that does. Nothing is started, made
/// or changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tell all that is wrong with the settings, of this file if one is named; the exit status is 1 if anything is
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    check: Option<Option<PathBuf>>,

    /// Print a file with every setting, its meaning and its default
    #[arg(long, conflicts_with_all = ["check", "reference"])]
    defaults: bool,

    /// Print the reference of all settings, in Markdown
    #[arg(long, conflicts_with = "check")]
    reference: bool,

    /// Read settings from this TOML file, or from none: "off" [default: /etc/icewell/icewell.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "ICEWELL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Typed,
}

/// A setting, as it is printed.
#[derive(Debug, Serialize)]
struct Setting {
    setting: String,
    value: Option<String>,
    /// `option`, `environment`, `file`, `glance` or `default`.
    from: String,
    line: Option<usize>,
    /// `reload` or `restart`.
    takes_effect: &'static str,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
struct Complaint {
    file: Option<PathBuf>,
    line: Option<usize>,
    key: Option<String>,
    message: String,
    /// All of it in a line.
    #[serde(skip)]
    told: String,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let output = context.output;
    if args.defaults {
        output.print(settings::defaults().as_bytes())?;
        return Ok(Exit::Done);
    }
    if args.reference {
        output.print(settings::page().as_bytes())?;
        return Ok(Exit::Done);
    }
    if let Some(named) = &args.check {
        return check(named.as_deref().or(args.config.as_deref()), &args.settings, context);
    }
    let file = serve::read(args.config.as_deref(), output)?;
    let in_force = InForce::of(&args.settings.clone().over(&context.glance), &file);
    if output.is_json() {
        let told: Vec<Setting> = in_force.rows.iter().map(Setting::of).collect();
        output.json(&told)?;
        return Ok(Exit::Done);
    }
    let columns = [Column::Text("SETTING"), Column::Text("VALUE"), Column::Text("FROM")];
    let rows = in_force.rows.iter().map(|row| {
        let value = row.shown().unwrap_or_else(|| "-".into());
        vec![row.about.id().to_owned(), value, row.from(in_force.file.as_deref())]
    });
    output.table(&columns, rows.collect(), "")?;
    Ok(Exit::Done)
}

impl Setting {
    fn of(row: &settings::Row) -> Self {
        Setting {
            setting: row.about.id().to_owned(),
            value: row.shown(),
            from: row.layer.to_string(),
            line: if let settings::Layer::File(line) = row.layer { Some(line) } else { None },
            takes_effect: match row.about.effect {
                settings::about::Effect::Reload => "reload",
                settings::about::Effect::Restart => "restart",
            },
        }
    }
}

/// Tells all that is wrong: with the file first, and if that can be read, with what the daemon would do about it.
fn check(named: Option<&Path>, typed: &Typed, context: &Context<'_>) -> Result {
    let path = File::find(named);
    let read = File::read(path.clone());
    let wrong: Vec<Complaint> = match read {
        Err(wrong) => wrong.into_iter().map(Complaint::from).collect(),
        Ok(file) => {
            let in_force = InForce::of(&typed.clone().over(&context.glance), &file);
            let told = serve::problems(&in_force, context)?;
            let complaint =
                |told: String| Complaint { file: path.clone(), line: None, key: None, message: told.clone(), told };
            told.into_iter().map(complaint).collect()
        }
    };
    let output = context.output;
    if output.is_json() {
        output.json(&wrong)?;
    } else {
        for complaint in &wrong {
            output.print_line(&complaint.told)?;
        }
        if wrong.is_empty() {
            let what = match path {
                Some(path) => format!("{}: nothing is wrong", path.display()),
                None => "nothing is wrong; no file is read".into(),
            };
            output.say(&what)?;
        }
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failed })
}

impl From<Wrong> for Complaint {
    fn from(wrong: Wrong) -> Self {
        let told = wrong.to_string();
        let Wrong { file, line, key, why } = wrong;
        Complaint { file: Some(file), line, key, message: why, told }
    }
}
