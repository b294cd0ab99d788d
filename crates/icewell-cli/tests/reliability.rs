//! `docs/reliability.md` names tests, in `SUITE::FILE::TEST`. Each of them has to exist, and be one.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::unwrap_used, reason = "reads the repository's own files")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/reliability.md")).unwrap()
}

/// The tests that a document names.
fn named(document: &str) -> BTreeSet<String> {
    let spans = document.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| {
        let plain =
            span.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_:".contains(&byte));
        plain && span.contains("::")
    };
    spans.filter(is_name).map(str::to_owned).collect()
}

/// Where the tests of a suite's file are.
fn file_of(parts: &[&str]) -> PathBuf {
    match parts {
        ["it", file] => root().join(format!("crates/icewell/tests/it/{file}.rs")),
        ["serve" | "cli", file] => root().join(format!("crates/icewell-cli/tests/{}/{file}.rs", parts[0])),
        ["interleavings"] => root().join("crates/icewell-server/tests/interleavings.rs"),
        ["test_torture"] => root().join("tests/torture/test_torture.py"),
        [file] if file.starts_with("test_") => root().join(format!("tests/glance/{file}.py")),
        other => panic!("no such suite: {other:?}"),
    }
}

/// The tests in a file.
fn tests_in(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let name = |line: &str, word: &str| Some(line.strip_prefix(word)?.split('(').next()?.to_owned());
    if file.extension().is_some_and(|extension| extension == "py") {
        return lines.iter().filter_map(|line| name(line, "def ")).collect();
    }
    // Attributes may stand between the mark and the function.
    let marks = lines.iter().enumerate().filter(|(_, line)| **line == "#[test]").map(|(place, _)| place);
    marks.filter_map(|place| lines[place..].iter().take(6).find_map(|line| name(line, "fn "))).collect()
}

#[test]
fn each_test_that_the_document_names_exists() {
    let named = named(&document());
    assert!(named.len() > 80, "the document has lost its tests: {}", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|name| {
            let parts: Vec<&str> = name.split("::").collect();
            let (test, place) = parts.split_last().unwrap();
            !tests_in(&file_of(place)).contains(*test)
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The other way round: a test by the name of a row is found from that row.
#[test]
fn each_test_of_a_row_is_named_by_it() {
    let document = document();
    for suite in ["crates/icewell/tests/it", "crates/icewell-cli/tests/serve"] {
        for entry in fs::read_dir(root().join(suite)).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "rs") {
                for test in tests_in(&entry.path()).into_iter().filter(|test| test.starts_with("field_")) {
                    assert!(document.contains(&format!("::{test}`")), "{test} is in no row");
                }
            }
        }
    }
    for row in 1..=20 {
        assert!(document.contains(&format!("::field_{row:02}_")), "row {row} has no test of its name");
    }
}

#[test]
fn a_name_that_is_none_is_found() {
    let named = named("a `it::x::y`, `b`, `Cache::open`, `serve::z::field_1`");
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["it::x::y", "serve::z::field_1"]);
    assert!(!tests_in(&file_of(&["it", "locks"])).contains("no_such_test"));
    assert!(!tests_in(&file_of(&["it", "locks"])).contains("is_waited_for"), "a function is no test");
}
