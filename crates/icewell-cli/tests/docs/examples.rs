//! The examples print what the documents say.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::documents::{self, Document, blocks};
use crate::shell::{Places, run};
use crate::steps::{Step, matches, steps};

/// What is wrong with a document's examples.
fn check(name: &str, steps: &[Step], words: Vec<(String, String)>) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let printed = run(steps, Places::new(folder.path(), words));
    let mut wrong = String::new();
    for (number, step) in steps.iter().enumerate() {
        let Some((output, status)) = printed.get(number) else {
            writeln!(wrong, "{name}:{}: the shell ended at $ {}", step.line, step.command).unwrap();
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
            .unwrap();
        }
    }
    wrong
}

fn check_all(documents: &[(&Document, Vec<Step>)], words: &[(String, String)]) {
    let wrong: String = thread::scope(|scope| {
        let running: Vec<_> = documents
            .iter()
            .map(|(document, steps)| scope.spawn(move || check(&document.name, steps, words.to_vec())))
            .collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn examples_print_what_the_documents_say() {
    let documents = documents::all();
    let examples: Vec<_> =
        documents.iter().map(|document| (document, steps(&blocks(&document.text), "console"))).collect();
    let number: usize = examples.iter().map(|(_, steps)| steps.len()).sum();
    assert!(number >= 40, "the documents have lost their examples: {number}");
    check_all(&examples, &[]);
}

/// Told by `ICEWELL_DOCS_GLANCE`: `{"documents": ["docs/…"], "words": {"glance.example": "127.0.0.1"}}`. Credentials are in
/// the environment.
#[test]
#[ignore = "needs a Glance, and is run by test_docs.py of tests/glance and of bindings/python"]
fn examples_with_a_glance_print_what_the_documents_say() {
    let told = std::env::var("ICEWELL_DOCS_GLANCE").expect("ICEWELL_DOCS_GLANCE says where the Glance is");
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let words: Vec<_> =
        told["words"].as_object().unwrap().iter().map(|(word, here)| (word.clone(), text(here))).collect();
    let wanted: Vec<_> = told["documents"].as_array().unwrap().iter().map(text).collect();
    let documents = documents::all();
    let examples: Vec<_> = documents
        .iter()
        .filter(|document| wanted.contains(&document.name))
        .map(|document| (document, steps(&blocks(&document.text), "console glance")))
        .collect();
    assert_eq!(examples.len(), wanted.len());
    assert!(examples.iter().all(|(_, steps)| !steps.is_empty()), "{wanted:?} have no such examples");
    check_all(&examples, &words);
}

#[test]
fn a_wrong_example_is_found() {
    for (example, right) in [
        ("$ echo a\na", true),
        ("$ echo a\nb", false),
        ("$ echo a", false),
        ("$ true\na", false),
        ("$ false", false),
        ("$ false\n? 1", true),
        ("$ sleep 1000 &\n$ icewell nonsense\n...\n? 2", true),
        ("$ exit 3", false),
        ("$ mkdir /etc/icewell && cd /etc/icewell && pwd\n/etc/icewell", true),
        ("$ echo 192.0.2.3:80\n192.0.2.3:80", true),
    ] {
        let steps = steps(&blocks(&format!("```console\n{example}\n```\n")), "console");
        assert_eq!(check("wrong.md", &steps, Vec::new()).is_empty(), right, "{example}");
    }
    assert!(!Path::new("/etc/icewell/wrong").exists());
}
