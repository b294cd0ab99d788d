//! The examples of the documents: each ```` ```console ```` block of `README.md` and `docs/*.md` is typed into a shell
//! and must print what the document says.
//!
//! - `$ ` begins a command, `> ` goes on with it on the next line; what follows is its output, both streams together.
//! - `[..]` in a line of output stands for any text, a line `...` for any number of lines.
//! - A command must exit with 0, or else the last line of its output is `? ` and the exit status.
//!
//! The blocks of one document share one shell in one empty folder, in order. What they start with `&` is ended with it.
#![allow(clippy::disallowed_methods, reason = "reads documents and makes a folder, outside any cache")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// No document says this.
const MARK: &str = "@@icewell-docs@@";

/// One command of a document and what it should print.
#[derive(Debug, PartialEq)]
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
    status: i32,
}

/// The commands of all console blocks.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut first) = (false, false);
    for (number, line) in text.lines().enumerate() {
        if !inside {
            inside = line.trim_end() == "```console";
            first = inside;
        } else if line.starts_with("```") {
            inside = false;
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: number + 1, command: command.into(), expected: Vec::new(), status: 0 });
            first = false;
        } else {
            assert!(!first, "line {}: a console block begins with `$ `", number + 1);
            let step = steps.last_mut().expect("a block has begun");
            match line.strip_prefix("> ") {
                Some(more) if step.expected.is_empty() => step.command = format!("{}\n{more}", step.command),
                _ => step.expected.push(line.into()),
            }
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(|line| line.trim().is_empty()) {
            step.expected.pop();
        }
        if let Some(status) = step.expected.last().and_then(|line| line.strip_prefix("? ")?.parse().ok()) {
            step.status = status;
            step.expected.pop();
        }
    }
    steps
}

/// Whether a line is as expected, `[..]` standing for any text.
fn line_matches(expected: &str, actual: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == actual,
        Some((before, after)) => actual.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

/// Whether lines are as expected, `...` standing for any number of them.
fn matches(expected: &[String], actual: &[&str]) -> bool {
    match expected {
        [] => actual.is_empty(),
        [any, rest @ ..] if any == "..." => (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..])),
        [first, rest @ ..] => {
            actual.split_first().is_some_and(|(line, more)| line_matches(first, line) && matches(rest, more))
        }
    }
}

/// What each command printed, and its exit status.
fn run(steps: &[Step], folder: &Path) -> Vec<(String, i32)> {
    let mut script = String::from("exec 2>&1 </dev/null\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for step in steps {
        write!(script, "{}\nprintf '%s%d\\n' '{MARK}' $?\n", step.command).expect("text grows");
    }
    let mut path =
        std::ffi::OsString::from(Path::new(env!("CARGO_BIN_EXE_icewell")).parent().expect("it has a folder"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ICEWELL_") || name.to_string_lossy().ends_with("_proxy") {
            bash.env_remove(name);
        }
    }
    bash.env("PATH", path).env("HOME", folder).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env_remove("RUST_LOG");
    let output = bash.output().expect("bash runs");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut printed = Vec::new();
    let mut rest = output.as_str();
    while let Some((before, after)) = rest.split_once(MARK) {
        let (status, after) = after.split_once('\n').unwrap_or((after, ""));
        printed.push((before.to_owned(), status.parse().expect("an exit status follows the mark")));
        rest = after;
    }
    printed
}

/// How many examples a document has, and what is wrong with them.
fn check(document: &Path) -> (usize, String) {
    let steps = steps(&std::fs::read_to_string(document).expect("the document can be read"));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    let printed = if steps.is_empty() { Vec::new() } else { run(&steps, folder.path()) };
    let name = document.file_name().unwrap_or_default().to_string_lossy();
    let mut wrong = String::new();
    for (number, step) in steps.iter().enumerate() {
        let Some((output, status)) = printed.get(number) else {
            writeln!(wrong, "{name}:{}: the shell ended at $ {}", step.line, step.command).expect("text grows");
            break;
        };
        let actual: Vec<&str> = output.lines().map(str::trim_end).collect();
        let actual = &actual[..actual.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1)];
        if *status != step.status || !matches(&step.expected, actual) {
            let (expected, actual) = (step.expected.join("\n"), actual.join("\n"));
            writeln!(
                wrong,
                "{name}:{}: $ {}\n--- expected, exit status {}\n{expected}\n--- printed, exit status {status}\n{actual}\n",
                step.line, step.command, step.status,
            )
            .expect("text grows");
        }
    }
    (steps.len(), wrong)
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).expect("there is a folder of documents");
    let mut documents: Vec<PathBuf> = docs.map(|entry| entry.expect("it can be listed").path()).collect();
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.push(root.join("README.md"));
    documents.sort();
    documents
}

#[test]
fn examples_print_what_the_documents_say() {
    let checked: Vec<(usize, String)> = documents().iter().map(|document| check(document)).collect();
    let wrong: String = checked.iter().map(|(_, wrong)| wrong.as_str()).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(checked.iter().map(|(steps, _)| steps).sum::<usize>() >= 40, "the documents have lost their examples");
}

#[test]
fn a_wrong_example_is_found() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder can be made");
    let document = folder.path().join("wrong.md");
    for (example, right) in [
        ("$ echo a\na", true),
        ("$ echo a\nb", false),
        ("$ echo a", false),
        ("$ true\na", false),
        ("$ false", false),
        ("$ false\n? 1", true),
        ("$ sleep 1000 &\n$ icewell nonsense\n...\n? 2", true),
        ("$ exit 3", false),
    ] {
        std::fs::write(&document, format!("```console\n{example}\n```\n")).expect("it can be written");
        assert_eq!(check(&document).1.is_empty(), right, "{example}");
    }
}

#[test]
fn wildcards() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (expected, actual, right) in [
        ("a[..]c", "abc", true),
        ("a[..]c", "ac", true),
        ("a[..]c", "abd", false),
        ("[..]b[..]", "üb", true),
        ("a[..]c[..]e", "abcde", true),
        ("a\n...\nd", "a\nb\nc\nd", true),
        ("a\n...\nd", "a\nd", true),
        ("a\n...", "b", false),
        ("...", "", true),
        ("a", "a\nb", false),
    ] {
        assert_eq!(matches(&lines(expected), &actual.lines().collect::<Vec<_>>()), right, "{expected} {actual}");
    }
    let step = Step { line: 2, command: "a \\\nb".into(), expected: vec!["c".into()], status: 1 };
    assert_eq!(steps("```console\n$ a \\\n> b\nc\n? 1\n```\n```sh\n$ no\n```"), [step]);
}
