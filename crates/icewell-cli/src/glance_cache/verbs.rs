//! The verbs of `glance-cache-manage`, word for word.

use std::fmt::Write;
use std::io::BufRead;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::Tool;
use super::manage::Args;
use super::pretty_table::{Align, render};
use super::remote::{Remote, Trouble};
use crate::output::{Output, escape};

/// What a verb came to.
type Did<T = ()> = Result<T, Trouble>;

/// A verb.
pub(super) struct Verb {
    name: &'static str,
    about: &'static str,
    /// What follows its name on the line that explains it.
    operands: &'static str,
    text: &'static str,
    /// What it failed to do, if it does.
    pub(super) action: &'static str,
    pub(super) run: fn(&Args, &[String], &mut Remote<'_>, &Output) -> Did,
}

const VERBS: [Verb; 7] = [
    Verb {
        name: "list-cached",
        about: "List all images currently cached",
        operands: "",
        text: "List all images currently cached.",
        action: "show cached images",
        run: list_cached,
    },
    Verb {
        name: "list-queued",
        about: "List all images currently queued for caching",
        operands: "",
        text: "List all images currently queued for caching.",
        action: "show queued images",
        run: list_queued,
    },
    Verb {
        name: "queue-image",
        about: "Queue an image for caching",
        operands: "<IMAGE_ID> ",
        text: "Queues an image for caching.",
        action: "queue the specified image for caching",
        run: |args, operands, remote, output| one(args, operands, remote, output, &QUEUE),
    },
    Verb {
        name: "delete-cached-image",
        about: "Purges an image from the cache",
        operands: "<IMAGE_ID> ",
        text: "Deletes an image from the cache.",
        action: "delete the specified cached image",
        run: |args, operands, remote, output| one(args, operands, remote, output, &DELETE_CACHED),
    },
    Verb {
        name: "delete-all-cached-images",
        about: "Removes all images from the cache",
        operands: "",
        text: "Remove all images from the cache.",
        action: "Delete all cached images",
        run: |args, _, remote, output| all(args, remote, output, "cached"),
    },
    Verb {
        name: "delete-queued-image",
        about: "Deletes an image from the cache queue",
        operands: "<IMAGE_ID> ",
        text: "Deletes an image from the cache.",
        action: "delete the specified queued image",
        run: |args, operands, remote, output| one(args, operands, remote, output, &DELETE_QUEUED),
    },
    Verb {
        name: "delete-all-queued-images",
        about: "Deletes all images from the cache queue",
        operands: "",
        text: "Remove all images from the cache queue.",
        action: "Delete all queued images",
        run: |args, _, remote, output| all(args, remote, output, "queued"),
    },
];

/// The verb of this name.
pub(super) fn find(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

/// All verbs, a line each.
pub(super) fn list() -> String {
    let mut text = "Commands:\n\n".to_owned();
    let help = ("help <command>", "Output help for one of the commands below");
    for (name, about) in [help].into_iter().chain(VERBS.iter().map(|verb| (verb.name, verb.about))) {
        write!(text, "    {name:28}{about}\n\n").ok();
    }
    text
}

impl Verb {
    /// What `help VERB` says.
    pub(super) fn help(&self) -> String {
        format!("{} {} {}[options]\n\n    {}\n    \n", Tool::Manage.name(), self.name, self.operands, self.text)
    }
}

fn list_cached(_: &Args, _: &[String], remote: &mut Remote<'_>, output: &Output) -> Did {
    let images = remote.list("cached_images")?;
    if images.is_empty() {
        return said(output, "No cached images.");
    }
    said(output, &format!("Found {} cached images...", images.len()))?;
    let columns = [
        ("ID", Align::Center),
        ("Last Accessed (UTC)", Align::Center),
        ("Last Modified (UTC)", Align::Center),
        ("Size", Align::Right),
        ("Hits", Align::Right),
    ];
    let rows = images.iter().map(cached_row).collect::<Did<Vec<_>>>()?;
    Ok(output.print(render(&columns, &rows).as_bytes())?)
}

fn cached_row(image: &Value) -> Did<Vec<String>> {
    let field =
        |name: &str| image.get(name).ok_or_else(|| Trouble::Other(format!("the list does not say an image's {name}")));
    let time = |name: &str| {
        let value = field(name)?;
        value
            .as_f64()
            .and_then(iso)
            .ok_or_else(|| Trouble::Other(format!("the list says {value} for an image's {name}")))
    };
    let never = field("last_accessed")?.as_f64() == Some(0.0);
    let last_accessed = if never { "N/A".into() } else { time("last_accessed")? };
    let [id, size, hits] = [field("image_id")?, field("size")?, field("hits")?].map(shown);
    Ok(vec![id, last_accessed, time("last_modified")?, size, hits])
}

fn list_queued(_: &Args, _: &[String], remote: &mut Remote<'_>, output: &Output) -> Did {
    let images = remote.list("queued_images")?;
    if images.is_empty() {
        return said(output, "No queued images.");
    }
    said(output, &format!("Found {} queued images...", images.len()))?;
    let rows: Vec<_> = images.iter().map(|image| vec![shown(image)]).collect();
    Ok(output.print(render(&[("ID", Align::Center)], &rows).as_bytes())?)
}

/// A verb about one image: what it asks, what it does, what it says then.
struct OnOne {
    name: &'static str,
    question: fn(&str) -> String,
    method: &'static str,
    folder: &'static str,
    done: fn(&str) -> String,
}

const QUEUE: OnOne = OnOne {
    name: "queue-image",
    question: |id| format!("Queue image {id} for caching?"),
    method: "PUT",
    folder: "queued_images",
    done: |id| format!("Queued image {id} for caching"),
};

const DELETE_CACHED: OnOne = OnOne {
    name: "delete-cached-image",
    question: |id| format!("Delete cached image {id}?"),
    method: "DELETE",
    folder: "cached_images",
    done: |id| format!("Deleted cached image {id}"),
};

const DELETE_QUEUED: OnOne = OnOne {
    name: "delete-queued-image",
    question: |id| format!("Delete queued image {id}?"),
    method: "DELETE",
    folder: "queued_images",
    done: |id| format!("Deleted queued image {id}"),
};

fn one(args: &Args, operands: &[String], remote: &mut Remote<'_>, output: &Output, verb: &OnOne) -> Did {
    let id = match operands {
        // Python's words for it, as Glance's tool has them.
        [] => return Err(Trouble::Other("list index out of range".into())),
        [id] if is_uuid(id) => id,
        [id] => return Err(Trouble::Operand(format!("Image ID '{id}' is not a valid UUID."))),
        _ => {
            return Err(Trouble::Operand(format!(
                "Please specify the ID of the image you wish for command '{}' from the cache as the first and only \
                 argument.",
                verb.name
            )));
        }
    };
    if !confirmed(args, output, &(verb.question)(id))? {
        return Ok(());
    }
    remote.ask(verb.method, &[verb.folder, id])?;
    if args.verbose { said(output, &(verb.done)(id)) } else { Ok(()) }
}

fn all(args: &Args, remote: &mut Remote<'_>, output: &Output, which: &str) -> Did {
    if !confirmed(args, output, &format!("Delete all {which} images?"))? {
        return Ok(());
    }
    let deleted = remote.delete_all(&format!("{which}_images"))?;
    if args.verbose { said(output, &format!("Deleted {deleted} {which} images")) } else { Ok(()) }
}

/// Asks whoever is at standard input, unless that was to be left out.
fn confirmed(args: &Args, output: &Output, question: &str) -> Did<bool> {
    if args.force {
        return Ok(true);
    }
    output.print(format!("{question} [y/N] ").as_bytes())?;
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(0) => Err(Trouble::Other("EOF when reading a line".into())),
        Ok(_) => Ok(matches!(answer.trim_end_matches(['\r', '\n']).to_lowercase().as_str(), "y" | "yes")),
        Err(error) => Err(Trouble::Other(error.to_string())),
    }
}

fn said(output: &Output, line: &str) -> Did {
    Ok(output.print(format!("{}\n", escape(line)).as_bytes())?)
}

/// What Python takes for a UUID.
fn is_uuid(text: &str) -> bool {
    let hex = text.replace("urn:", "").replace("uuid:", "");
    let hex = hex.trim_matches(['{', '}']).replace('-', "");
    hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Null => "None".into(),
        other => escape(&other.to_string()),
    }
}

/// `2023-11-14T22:13:20`, and microseconds if there are any; none beyond what Python's clock knows.
fn iso(seconds: f64) -> Option<String> {
    let mut whole = seconds.trunc();
    let mut micros = (seconds.fract() * 1e6).round_ties_even();
    if micros >= 1e6 {
        (whole, micros) = (whole + 1.0, 0.0);
    }
    // Years of four digits, from 1970 on.
    if !(0.0..253_402_300_800.0).contains(&whole) {
        return None;
    }
    let time = UNIX_EPOCH + Duration::from_secs_f64(whole);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let text = text.trim_end_matches('Z');
    Some(if micros > 0.0 { format!("{text}.{micros:06}") } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_python_writes_them() {
        for (seconds, text) in [
            (1_700_000_000.0, Some("2023-11-14T22:13:20")),
            (1_700_000_000.25, Some("2023-11-14T22:13:20.250000")),
            (0.000_000_5, Some("1970-01-01T00:00:00")),
            (1.999_999_9, Some("1970-01-01T00:00:02")),
            (-1.0, None),
            (f64::NAN, None),
            (1e15, None),
        ] {
            assert_eq!(iso(seconds).as_deref(), text, "{seconds}");
        }
    }

    #[test]
    fn uuids_as_python_takes_them() {
        let plain = "71c675abd94f49cda114e12490b328d9";
        for text in [plain, "71c675ab-d94f-49cd-a114-e12490b328d9", "{71C675ABD94F49CDA114E12490B328D9}"] {
            assert!(is_uuid(text), "{text}");
        }
        assert!(is_uuid(&format!("urn:uuid:{plain}")));
        for text in ["", "abc", "71c675abd94f49cda114e12490b328dg", "../71c675abd94f49cda114e12490b328d9"] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
