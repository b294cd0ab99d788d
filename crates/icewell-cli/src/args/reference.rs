//! `docs/commands.md`, made of the same definitions as help, completions and man pages.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Cli;
use crate::glance_cache;

const PAGE: &str = "docs/commands.md";

const HEAD: &str = "\
# Commands

Every command with its options, as `icewell help COMMAND` tells them. This page is made of the program itself (`make
docs-generated`), and a test holds it to that.

";

const GLANCE_TOOLS: &str = "\
## By the names of Glance's tools

A link to `icewell` by one of these names is that tool of Glance's, with its arguments ([how to use
it](how-to/instead-of-glances-tools.md)).

";

fn page() -> String {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut page = String::from(HEAD);
    tell(&root, &[], 2, &mut page);
    page.push_str(GLANCE_TOOLS);
    for mut tool in glance_cache::commands() {
        tool.build();
        tell(&tool, &[], 3, &mut page);
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

/// A command and those below it. `known` are the options that its parent has told of.
fn tell(command: &Command, known: &[String], depth: usize, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    write!(page, "{} {name}\n\n", "#".repeat(depth)).unwrap();
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    write!(page, "{}\n\n", text(&about)).unwrap();
    let usage = command.clone().render_usage().to_string();
    write!(page, "```text\n{}\n```\n\n", usage.trim_start_matches("Usage: ")).unwrap();

    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .filter(|arg| !known.contains(&arg.get_id().to_string()))
        .collect();
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in &arguments {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        let below: Vec<&Arg> = arguments.iter().copied().filter(|arg| arg.get_help_heading() == heading).collect();
        let positional = below.iter().filter(|arg| arg.is_positional()).count();
        let heading = heading.unwrap_or(match below.len() - positional {
            0 => "Arguments",
            _ if positional == 0 => "Options",
            _ => "Arguments and options",
        });
        write!(page, "| {heading} | |\n|---|---|\n").unwrap();
        for arg in below {
            writeln!(page, "| {} | {} |", spelt(arg), meaning(arg)).unwrap();
        }
        page.push('\n');
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let after = after.to_string();
        match after.contains("\n  ") {
            true => write!(page, "```text\n{}\n```\n\n", after.trim()).unwrap(),
            false => write!(page, "{}\n\n", text(&after)).unwrap(),
        }
    }
    let globals = command.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().to_string());
    let known: Vec<String> = globals.chain(known.iter().cloned()).collect();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        tell(verb, &known, depth + usize::from(depth > 2 || command.get_name() != "icewell"), page);
    }
}

/// How an argument is typed.
fn spelt(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default().iter().map(|name| name.as_str());
    let values = names.collect::<Vec<_>>().join(" ");
    let takes = arg.get_action().takes_values() && !values.is_empty();
    let Some(long) = arg.get_long() else {
        return match arg.get_short() {
            Some(short) => format!("`-{short}`"),
            None => format!("`{values}`"),
        };
    };
    let optional = arg.get_num_args().is_some_and(|number| number.min_values() == 0);
    let value = match (takes, optional) {
        (false, _) => String::new(),
        (true, false) => format!(" {values}"),
        (true, true) => format!("[={values}]"),
    };
    match arg.get_short() {
        Some(short) => format!("`-{short}`, `--{long}{value}`"),
        None => format!("`--{long}{value}`"),
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let paragraphs: Vec<_> = help.split("\n\n").map(|paragraph| text(paragraph.trim_end_matches('.'))).collect();
    let mut meaning = paragraphs.join(". ").replace('\n', " ").replace('|', "\\|");
    if arg.get_action().takes_values() {
        let possible = arg.get_possible_values();
        let possible: Vec<&str> =
            possible.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
        if !possible.is_empty() && !arg.is_hide_possible_values_set() {
            write!(meaning, " [`{}`]", possible.join("`, `")).unwrap();
        }
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() && !arg.is_hide_default_value_set() {
            write!(meaning, " [default: {}]", defaults.join(" ")).unwrap();
        }
    }
    if let Some(variable) = arg.get_env() {
        write!(meaning, " (`{}`)", variable.to_string_lossy()).unwrap();
    }
    meaning
}

/// Help as Markdown: what would be markup there is escaped.
fn text(help: &str) -> String {
    let mut text = String::new();
    for c in help.trim().chars() {
        if "*_<>[]`".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[test]
fn the_page_of_commands_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = page();
    if std::env::var_os("ICEWELL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(says, stands)| says != stands);
    assert!(page == written, "{PAGE} is not what the program says; `make docs-generated` writes it anew: {differs:?}");
}
