//! Each link in a document that leads to a place in the repository finds it, the heading too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Tag, TagEnd};

use crate::documents::{self, Document, events, root};

/// Where a document's links and pictures lead to, with their lines.
pub(crate) fn links(text: &str) -> Vec<(usize, String)> {
    events(text)
        .filter_map(|(event, line)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some((line, dest_url.to_string()))
            }
            _ => None,
        })
        .collect()
}

/// The names by which a document's headings can be linked to, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for (event, _) in events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(more) | Event::Code(more) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&more);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let text = heading.take().unwrap().to_lowercase();
                let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
                let times = seen.entry(name.clone()).or_default();
                anchors.insert(if *times == 0 { name } else { format!("{name}-{times}") });
                *times += 1;
            }
            _ => {}
        }
    }
    anchors
}

/// A path without `.` and `..`; `None` if it leads out of where it begins.
pub(crate) fn joined(document: &str, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::from(document);
    path.pop();
    for component in Path::new(link).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// What is wrong with a link of a document, if anything.
fn wrong(document: &Document, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let text = if path.is_empty() {
        document.text.clone()
    } else {
        let Some(target) = joined(&document.name, path) else { return Some("leads out of the repository") };
        let target = root().join(target);
        if target.is_dir() {
            return Some("leads to a folder, which is no page of the site: name a file in it");
        }
        match std::fs::read(&target) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(_) => return Some("leads nowhere"),
        }
    };
    let is_markdown = path.is_empty() || path.ends_with(".md");
    match anchor {
        Some(_) if !is_markdown => Some("names a heading of what has none"),
        Some(anchor) if !anchors(&text).contains(anchor) => Some("names a heading that is not there"),
        _ => None,
    }
}

#[test]
fn each_link_leads_somewhere() {
    let mut found = Vec::new();
    let mut number = 0;
    for document in &documents::all() {
        for (line, link) in links(&document.text) {
            number += 1;
            if let Some(wrong) = wrong(document, &link) {
                found.push(format!("{}:{line}: {link} {wrong}", document.name));
            }
        }
    }
    assert!(number > 100, "the documents have lost their links: {number}");
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# A `b`: c, d_e\n## x\n## x\n`[no](nowhere.md)`\n\n```text\n[no](nowhere.md)\n```\n";
    let document = Document { name: "docs/nothing.md".into(), text: text.into() };
    assert!(links(text).is_empty());
    for (link, right) in [
        ("#a-b-c-d_e", true),
        ("#x-1", true),
        ("#x-2", false),
        ("semantics.md#known-gaps", true),
        ("semantics.md#no-such-heading", false),
        ("nowhere.md", false),
        ("decisions/", false),
        ("../README.md", true),
        ("../../README.md", false),
        ("/etc/passwd", false),
        ("images/page-light.png", true),
        ("images/page-light.png#x", false),
        ("https://example.org/", true),
    ] {
        assert_eq!(wrong(&document, link).is_none(), right, "{link}");
    }
}
