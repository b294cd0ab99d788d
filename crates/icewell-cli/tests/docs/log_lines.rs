//! What the page about troubleshooting says of the log is what the program says there.

use std::fs;
use std::path::Path;

use crate::documents::{self, root};

const PAGE: &str = "docs/how-to/troubleshooting.md";

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), text);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn each_line_of_the_log_that_is_explained_exists() {
    let page = documents::all().into_iter().find(|document| document.name == PAGE).unwrap();
    let section = page.text.split("## What the log says").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut code = String::new();
    for part in ["icewell", "icewell-server", "icewell-cli"] {
        sources(&root().join("crates").join(part).join("src"), &mut code);
    }
    let rows = section.lines().filter_map(|line| line.strip_prefix("| \"")?.split(" | ").next());
    let lines: Vec<&str> = rows.flat_map(|row| row.trim_end_matches('"').split("\", \"")).collect();
    assert!(lines.len() > 20, "{lines:?}");
    let gone: Vec<_> = lines.iter().filter(|line| !code.contains(&format!("\"{line}\""))).collect();
    assert!(gone.is_empty(), "no log says {gone:#?}");
}
