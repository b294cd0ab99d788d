//! YAML, as far as files of clouds use it: every value as the text that somebody wrote.
//!
//! Text, because a secret that looks like a number is to stay what it was. Anchors, aliases and merge keys (`<<`) are
//! understood; of several documents only the first counts.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

/// How deep lists and maps may be nested.
const MAX_DEPTH: usize = 64;

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Null,
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Map),
}

/// A mapping, by its keys' text.
pub(crate) type Map = BTreeMap<String, Rc<Node>>;

impl Node {
    pub(crate) fn as_map(&self) -> Option<&Map> {
        if let Node::Map(map) = self { Some(map) } else { None }
    }

    pub(crate) fn as_list(&self) -> Option<&[Rc<Node>]> {
        if let Node::List(list) = self { Some(list) } else { None }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Node::Text(text) = self { Some(text) } else { None }
    }
}

/// Reads a file's text. An error is the line that makes no sense: its text may be a secret.
pub(crate) fn parse(text: &str) -> Result<Node, usize> {
    let mut reading = Reading { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), depth: 0 };
    loop {
        match reading.next()? {
            None | Some(Event::StreamEnd) => return Ok(Node::Null),
            Some(Event::DocumentStart(_) | Event::StreamStart | Event::Nothing) => {}
            Some(event) => return Ok(Rc::unwrap_or_clone(reading.node(event)?)),
        }
    }
}

struct Reading<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Rc<Node>>,
    depth: usize,
}

impl<'a> Reading<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, usize> {
        let line = |error: ScanError| error.marker().line();
        self.parser.next_event().transpose().map(|next| next.map(|(event, _)| event)).map_err(line)
    }

    fn node(&mut self, event: Event<'a>) -> Result<Rc<Node>, usize> {
        let (anchor, node) = match event {
            Event::Alias(anchor) => return self.anchors.get(&anchor).cloned().ok_or(0),
            Event::Scalar(text, style, anchor, _) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (anchor, if null { Node::Null } else { Node::Text(text.into_owned()) })
            }
            Event::SequenceStart(anchor, _) => (anchor, Node::List(self.nested(Self::list)?)),
            Event::MappingStart(anchor, _) => (anchor, Node::Map(self.nested(Self::map)?)),
            _ => return Err(0),
        };
        let node = Rc::new(node);
        self.anchors.insert(anchor, node.clone());
        Ok(node)
    }

    fn nested<T>(&mut self, read: fn(&mut Self) -> Result<T, usize>) -> Result<T, usize> {
        if self.depth == MAX_DEPTH {
            return Err(0);
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn list(&mut self) -> Result<Vec<Rc<Node>>, usize> {
        let mut list = Vec::new();
        loop {
            match self.next()?.ok_or(0usize)? {
                Event::SequenceEnd => return Ok(list),
                event => list.push(self.node(event)?),
            }
        }
    }

    fn map(&mut self) -> Result<Map, usize> {
        let (mut map, mut merged) = (Map::new(), Vec::new());
        loop {
            let key = match self.next()?.ok_or(0usize)? {
                Event::MappingEnd => break,
                event => self.node(event)?,
            };
            let value = self.next()?.ok_or(0usize)?;
            let value = self.node(value)?;
            match key.as_text() {
                Some("<<") => merged.push(value),
                Some(key) => drop(map.insert(key.to_owned(), value)),
                None => {}
            }
        }
        for merged in merged {
            // The map's own keys count before merged ones, and the first of those before later ones.
            for from in merged.as_list().unwrap_or(std::slice::from_ref(&merged)) {
                for (key, value) in from.as_map().into_iter().flatten() {
                    map.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match node {
            Node::Null => "null".into(),
            Node::Text(text) => format!("{text:?}"),
            Node::List(list) => {
                format!("{:?}", list.iter().map(|node| shown(node)).collect::<Vec<_>>()).replace('\\', "")
            }
            Node::Map(map) => {
                let parts: Vec<_> = map.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect();
                format!("{{{}}}", parts.join(", "))
            }
        }
    }

    #[test]
    fn values_stay_what_was_written() {
        for (text, read) in [
            (
                "a: 0123\nb: 1e3\nc: yes\nd: '~'\ne: ~\nf:\n",
                r#"{a: "0123", b: "1e3", c: "yes", d: "~", e: null, f: null}"#,
            ),
            ("{\"a\": {\"b\": \"c\\u0041\"}}", r#"{a: {b: "cA"}}"#),
            ("", "null"),
            ("# only words\n", "null"),
            ("a: |\n  two\n  lines\n", r#"{a: "two\nlines\n"}"#),
            ("a: 1\n---\nb: 2\n", r#"{a: "1"}"#),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), read, "{text}");
        }
    }

    #[test]
    fn anchors_and_merge_keys() {
        let text = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\n\
                    one: {<<: *base, b: 5}\nmany: {<<: [*base, *other]}\nsame: *base\n";
        let read = parse(text).unwrap();
        let map = read.as_map().unwrap();
        assert_eq!(shown(&map["one"]), r#"{a: "1", b: "5"}"#);
        assert_eq!(shown(&map["many"]), r#"{a: "1", b: "2", c: "4"}"#);
        assert_eq!(map["same"], map["base"]);
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_line() {
        assert_eq!(parse("a: 1\nb: [\nc: s3cret").unwrap_err(), 3);
        assert!(parse("a: *nobody").is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
