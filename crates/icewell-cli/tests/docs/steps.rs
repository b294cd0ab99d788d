//! What the blocks of a document have a reader type, and what they say is printed then.

use crate::documents::Block;

/// One command of a document and what it should print.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
    pub(crate) status: i32,
}

/// The commands of all blocks that are marked so.
pub(crate) fn steps(blocks: &[Block], mark: &str) -> Vec<Step> {
    blocks.iter().filter(|block| block.info.as_deref() == Some(mark)).flat_map(steps_of).collect()
}

fn steps_of(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in block.lines.iter().enumerate() {
        let number = block.line + 1 + number;
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: number, command: command.into(), expected: Vec::new(), status: 0 });
            continue;
        }
        let step = steps.last_mut().unwrap_or_else(|| panic!("line {number}: such a block begins with `$ `"));
        match line.strip_prefix('>').filter(|more| more.is_empty() || more.starts_with(' ')) {
            Some(more) if step.expected.is_empty() => {
                step.command = format!("{}\n{}", step.command, more.strip_prefix(' ').unwrap_or(more));
            }
            _ => step.expected.push(line.clone()),
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

/// Whether lines are as expected, `...` standing for any number of them.
pub(crate) fn matches(expected: &[String], actual: &[&str]) -> bool {
    match expected {
        [] => actual.is_empty(),
        [any, rest @ ..] if any == "..." => (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..])),
        [first, rest @ ..] => {
            let same = |line: &str| line_matches(&evenly(first), &evenly(line));
            actual.split_first().is_some_and(|(line, more)| same(line) && matches(rest, more))
        }
    }
}

/// With one space wherever there are several: how wide a column is depends on what else stands in it.
fn evenly(line: &str) -> String {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
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
        ("ID  USED [..]", "ID     USED  1", true),
        ("ID USED", "IDUSED", false),
    ] {
        assert_eq!(matches(&lines(expected), &actual.lines().collect::<Vec<_>>()), right, "{expected} {actual}");
    }
}

#[test]
fn a_command_its_output_and_its_status() {
    let text = "```console\n$ a \\\n> b\n>\n> c\nd\n? 1\n```\n```sh\n$ no\n```\n```console glance\n$ other\n```";
    let step = |line, command: &str, expected: &[&str], status| Step {
        line,
        command: command.into(),
        expected: expected.iter().map(|line| (*line).to_owned()).collect(),
        status,
    };
    let blocks = crate::documents::blocks(text);
    assert_eq!(steps(&blocks, "console"), [step(2, "a \\\nb\n\nc", &["d"], 1)]);
    assert_eq!(steps(&blocks, "console glance"), [step(13, "other", &[], 0)]);
}
