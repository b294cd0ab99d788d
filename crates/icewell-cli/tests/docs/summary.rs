//! `docs/SUMMARY.md` is the site's table of contents: what it does not name is no page there. Decisions are named in the
//! table of their own page, which the site takes them from.

use std::collections::BTreeSet;

use crate::documents;
use crate::links::{joined, links};

const SUMMARY: &str = "docs/SUMMARY.md";
const DECISIONS: &str = "docs/decisions/README.md";

#[test]
fn each_document_is_a_page_of_the_site() {
    let documents = documents::all();
    let mut named = BTreeSet::new();
    for page in [SUMMARY, DECISIONS] {
        let document = documents.iter().find(|document| document.name == page).unwrap();
        for (line, link) in links(&document.text) {
            let path = joined(page, &link).unwrap().to_str().unwrap().to_owned();
            assert!(named.insert(path), "{page}:{line}: {link} is named twice");
        }
    }
    named.insert(SUMMARY.into());
    let missing: Vec<_> =
        documents.iter().map(|document| &document.name).filter(|name| !named.contains(*name)).collect();
    assert!(missing.is_empty(), "neither {SUMMARY} nor {DECISIONS} names {missing:?}");
}
