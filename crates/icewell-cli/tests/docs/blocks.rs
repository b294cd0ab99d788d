//! No command stands in a document that nobody runs, unless it is in the list below with the reason.

use std::collections::BTreeSet;

use crate::documents::{self, blocks, root};

/// What is no command: texts, configuration, programs that are tested elsewhere.
const NO_COMMANDS: [&str; 10] = ["html", "ini", "json", "nginx", "promql", "python", "rust", "text", "toml", "yaml"];

/// Who runs `console glance`: each names its documents.
const WITH_GLANCE: [&str; 1] = ["tests/glance/test_docs.py"];

/// Commands that no test types: the document, the first of them, and why.
const BY_HAND: [(&str, &str, &str); 7] = [
    (
        "docs/how-to/inside-glance.md",
        "/opt/glance/bin/pip install icewell-0.1.0-cp311-abi3-manylinux_2_34_x86_64.whl",
        "needs the wheel",
    ),
    (
        "docs/how-to/inside-glance.md",
        "getfattr -d /var/lib/glance/image-cache/IMAGE_ID",
        "needs a Glance with the driver",
    ),
    (
        "docs/how-to/inside-glance.md",
        "rm -r /var/lib/glance/image-cache/incomplete/.icewell",
        "needs a Glance with the driver",
    ),
    (
        "README.md",
        "cargo run --release -- serve",
        "builds for minutes; what it starts is started in the other examples",
    ),
    ("README.md", "make test", "runs this very test"),
    ("bench/http/README.md", "make bench-http", "takes half an hour of a quiet machine"),
    ("docs/page.md", "ssh -L 9293:127.0.0.1:9293 cache-host", "needs a second machine"),
];

#[test]
fn each_command_in_a_document_is_run_or_has_its_reason() {
    let mut wrong = Vec::new();
    let mut by_hand: BTreeSet<(String, String)> =
        BY_HAND.iter().map(|(document, first, _)| ((*document).to_owned(), (*first).to_owned())).collect();
    let with_glance: String =
        WITH_GLANCE.iter().map(|test| std::fs::read_to_string(root().join(test)).unwrap()).collect();
    let documents = documents::all();
    for document in &documents {
        for block in blocks(&document.text) {
            let place = format!("{}:{}", document.name, block.line);
            match block.info.as_deref() {
                Some("console") => {}
                Some("console glance") if with_glance.contains(&format!("\"{}\"", document.name)) => {}
                Some("console glance") => wrong.push(format!("{place}: none of {WITH_GLANCE:?} runs it")),
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
