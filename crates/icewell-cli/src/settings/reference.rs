//! The reference of all settings as a page, and as a file with the defaults.

use std::fmt::Write as _;

use super::about::{self, About, Effect, Kind};

/// What stands before the settings on the page.
const PREFACE: &str = include_str!("preface.txt");

/// The page of the reference, in Markdown.
pub(crate) fn page() -> String {
    let mut page = PREFACE.to_owned();
    let mut group = String::new();
    for about in about::all() {
        if about.group() != group {
            group = about.group().to_owned();
            write!(page, "\n## {group}\n").ok();
        }
        write!(page, "\n### {}\n\n{}\n\n", about.id(), sentences(&about)).ok();
        let takes = match (about.kind, about.words()) {
            (_, words) if !words.is_empty() => format!("`\"{}\"`", words.join("\"`, `\"")),
            (Kind::Text, _) => format!("text: {}", about.value_name()),
            (Kind::Amount, _) => format!("text, or a whole number: {}", about.value_name()),
            (Kind::Number, _) => "a whole number".into(),
            (Kind::Fraction, _) => "a number".into(),
            (Kind::Bool, _) => "`true` or `false`".into(),
        };
        let effect = match about.effect {
            Effect::Reload => "by a reload",
            Effect::Restart => "by a restart",
        };
        let usual = usual(&about);
        write!(page, "| option | environment | takes | default | a change takes effect |\n|---|---|---|---|---|\n")
            .ok();
        writeln!(page, "| `{}` | `{}` | {takes} | {usual} | {effect} |", about.option(), about.variable()).ok();
    }
    page
}

fn usual(about: &About) -> String {
    match (&about.usual.value, about.usual.words) {
        (_, Some(words)) => words.into(),
        (Some(value), None) => format!("`{}`", quoted(about, value)),
        (None, None) => "none".into(),
    }
}

/// A file with every setting, its meaning and its default, all of it comments.
pub(crate) fn defaults() -> String {
    let mut file = String::from(
        "# The settings of icewell serve. What is commented out is the default; take the \"#\" before a key away to set it.\n\
         # Each has one name: max_size here, --max-size as an option, ICEWELL_MAX_SIZE in the environment. The option counts\n\
         # before the environment, and that before this file. Look a change over with \"icewell config --check\"; a running\n\
         # daemon takes it up when it is told to reload (systemctl reload icewell, or SIGHUP), unless it says \"restart\".\n\
         # Sizes are written as \"10GiB\", \"500MB\" (10^6 bytes each) or 4096; times as \"24h\", \"90s\" or 3600 (seconds).\n",
    );
    let mut group = String::new();
    for about in about::all() {
        if about.group() != group {
            group = about.group().to_owned();
            write!(file, "\n## {group}\n").ok();
        }
        file.push('\n');
        let mut text = sentences(&about);
        if let Some(words) = about.usual.words {
            write!(text, " Default: {words}.").ok();
        } else if about.usual.value.is_none() {
            text.push_str(" Default: none.");
        }
        if !about.words().is_empty() {
            write!(text, " One of: {}.", about.words().join(", ")).ok();
        }
        if about.effect == Effect::Restart {
            text.push_str(" (restart)");
        }
        for line in text.lines().flat_map(|line| wrapped(line, 116)) {
            writeln!(file, "{}", format!("# {line}").trim_end()).ok();
        }
        let value = about.usual.value.clone().unwrap_or_else(|| about.value_name().into());
        writeln!(file, "#{} = {}", about.id(), quoted(&about, &value)).ok();
    }
    file
}

/// What it means, in whole sentences.
fn sentences(about: &About) -> String {
    let meaning = about.meaning();
    let paragraphs = meaning.split("\n\n").map(|paragraph| {
        let paragraph = paragraph.trim();
        format!("{paragraph}{}", if paragraph.ends_with(['.', '…']) { "" } else { "." })
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The value as it stands in the file.
fn quoted(about: &About, value: &str) -> String {
    match about.kind {
        Kind::Text | Kind::Amount => format!("\"{value}\""),
        Kind::Number | Kind::Fraction | Kind::Bool => value.to_owned(),
    }
}

/// The words in lines of at most this width, if none of them is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn the_defaults_are_the_defaults_when_they_are_set() {
        let set: String = defaults()
            .lines()
            .filter_map(|line| {
                line.strip_prefix('#').filter(|line| line.starts_with(|first: char| first.is_lowercase()))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let (values, wrong) = file::parse(&set);
        for (_, key, why) in wrong {
            // What has no default shows what it takes.
            let about = about::all().into_iter().find(|about| Some(about.id()) == key.as_deref()).unwrap();
            assert_eq!(about.usual.value, None, "{key:?}: {why}");
        }
        for about in about::all() {
            let Some(usual) = &about.usual.value else { continue };
            let value = values.iter().find(|value| value.key == about.id()).unwrap();
            assert_eq!(&value.text, usual, "{}", about.id());
        }
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), [""]);
        assert_eq!(wrapped("much-too-long a", 4), ["much-too-long", "a"]);
    }
}
