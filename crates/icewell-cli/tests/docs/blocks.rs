//! No command stands in a document that nobody runs, unless it is in the list below with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::documents::{self, blocks, root};

/// What is no command: texts, configuration, programs that are tested elsewhere.
const NO_COMMANDS: &[&str] =
    &["html", "ini", "json", "nginx", "no_run", "promql", "python", "rust", "text", "toml", "yaml"];

/// Blocks of commands that need more than a shell: how they are marked, and who runs them, by naming their documents.
const ELSEWHERE: &[(&str, &str)] = &[
    ("console glance", "tests/glance/test_docs.py"),
    ("console glance", "bindings/python/tests/test_docs.py"),
    ("console debian", "tests/package/test_package.py"),
];

/// Commands that no test types: the document, the first of them, and why.
const BY_HAND: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "cargo run --release -- serve",
        "builds for minutes; what it starts is started in the other examples",
    ),
    ("README.md", "make test", "runs this very test"),
    (
        "README.md",
        "make deb && sudo apt-get install ./target/debian/icewell_*.deb",
        "builds for minutes; `make test-package` installs such a package elsewhere",
    ),
    ("docs/install.md", "make deb", "as in README.md"),
    (
        "docs/install.md",
        "setpriv --reuid=icewell --regid=icewell --init-groups icewell serve --config /etc/icewell/icewell.toml",
        "needs the package's user; `make test-package` starts it so",
    ),
    ("docs/install.md", "sudo apt-get install ./icewell_NEW.deb", "`make test-package` goes both ways"),
    ("docs/install.md", "cargo install --locked --path crates/icewell-cli", "builds for minutes"),
    ("docs/install.md", "make wheel", "`make test-python` does"),
    ("crates/icewell-cli/README.md", "cargo install icewell-cli", "is not published yet"),
    (
        "crates/icewell-cli/README.md",
        "icewell serve --dir /var/cache/icewell --origin https://images.example",
        "there is no such host; the how-tos do it with one",
    ),
    ("bench/http/README.md", "make bench-http", "takes half an hour of a quiet machine"),
    ("docs/page.md", "ssh -L 9293:127.0.0.1:9293 cache-host", "needs a second machine"),
];

#[test]
fn each_command_in_a_document_is_run_or_has_its_reason() {
    let mut wrong = Vec::new();
    let mut by_hand: BTreeSet<(String, String)> =
        BY_HAND.iter().map(|(document, first, _)| ((*document).to_owned(), (*first).to_owned())).collect();
    let documents = documents::all();
    for document in &documents {
        for block in blocks(&document.text) {
            let place = format!("{}:{}", document.name, block.line);
            match block.info.as_deref() {
                Some("console") => {}
                Some(mark) if ELSEWHERE.iter().any(|(marked, _)| mark == *marked) => {
                    if !is_run_elsewhere(mark, &document.name) {
                        wrong.push(format!("{place}: nobody in ELSEWHERE runs the {mark} blocks of this document"));
                    }
                }
                Some("sh") => {
                    let first = block.lines.first().map_or("", |line| line.split("  #").next().unwrap_or_default());
                    let first = first.trim_end().to_owned();
                    if !by_hand.remove(&(document.name.clone(), first.clone())) {
                        wrong.push(format!(
                            "{place}: make it ```console with `$ `, or give its reason in BY_HAND: {first}"
                        ));
                    }
                }
                Some(info) if NO_COMMANDS.contains(&info) => {}
                info => {
                    wrong.push(format!("{place}: say what it is: console, text, or one of NO_COMMANDS, not {info:?}"))
                }
            }
        }
    }
    wrong.extend(by_hand.iter().map(|(document, first)| format!("{document} has no block with {first:?} any more")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn is_run_elsewhere(mark: &str, document: &str) -> bool {
    let file_name = Path::new(document).file_name().unwrap().to_str().unwrap();
    let runners = ELSEWHERE.iter().filter(|(marked, _)| *marked == mark);
    runners
        .map(|(_, test)| fs::read_to_string(root().join(test)).unwrap_or_default())
        .any(|test| test.contains(&format!("\"{document}\"")) || test.contains(&format!("\"{file_name}\"")))
}
