//! The project's Markdown: which files there are, and what a parser of CommonMark sees in them.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// One document.
pub(crate) struct Document {
    /// Its path from the root of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A block of code, or a comment with commands.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    /// Where its fence stands, from 1 on.
    pub(crate) line: usize,
    /// What stands behind the fence; `None` for a block that is only indented.
    pub(crate) info: Option<String>,
    pub(crate) lines: Vec<String>,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// All of them, by name.
pub(crate) fn all() -> Vec<Document> {
    let mut paths = Vec::new();
    find(&root(), &mut paths);
    let mut documents: Vec<Document> = paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            Document { name, text: fs::read_to_string(&path).unwrap() }
        })
        .collect();
    documents.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(documents.len() > 30, "where are the documents? {}", documents.len());
    documents
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            // What is built, and what tools keep for themselves.
            if name != "target" && !name.starts_with(['.', '_']) {
                find(&entry.path(), found);
            }
        } else if name.ends_with(".md") {
            found.push(entry.path());
        }
    }
}

/// What the parser sees, each with the line it begins on.
pub(crate) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, usize)> {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end).collect();
    parser.into_offset_iter().map(move |(event, place)| (event, ends.partition_point(|end| *end < place.start) + 1))
}

/// The blocks of code, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut code: Option<(Block, String)> = None;
    for (event, line) in events(text) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.to_string()),
                    CodeBlockKind::Indented => None,
                };
                code = Some((Block { line, info, lines: Vec::new() }, String::new()));
            }
            Event::Start(Tag::HtmlBlock) => code = Some((Block { line, info: None, lines: Vec::new() }, String::new())),
            Event::Text(more) | Event::Html(more) => {
                if let Some((_, text)) = &mut code {
                    text.push_str(&more);
                }
            }
            Event::End(TagEnd::HtmlBlock) => {
                let (block, text) = code.take().unwrap();
                if let Some(commands) = text.trim().strip_prefix("<!-- $ ").and_then(|text| text.strip_suffix("-->")) {
                    let lines = format!("$ {}", commands.trim_end()).lines().map(str::to_owned).collect();
                    // One line less, as there is no fence before the commands.
                    blocks.push(Block { line: block.line - 1, info: Some("console".into()), lines });
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                let (block, text) = code.take().unwrap();
                blocks.push(Block { lines: text.lines().map(str::to_owned).collect(), ..block });
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn blocks_stand_in_lists_too() {
    let text = "<!-- $ f\n$ g\n-->\n<!-- a comment -->\n\n1. b:\n\n   ```console glance\n   $ c\n     d\n   ```\n\n```text\n```\n\n    e\n";
    let block = |line, info: Option<&str>, lines: &[&str]| Block {
        line,
        info: info.map(str::to_owned),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(
        blocks(text),
        [
            block(0, Some("console"), &["$ f", "$ g"]),
            block(8, Some("console glance"), &["$ c", "  d"]),
            block(13, Some("text"), &[]),
            block(16, None, &["e"]),
        ]
    );
}
