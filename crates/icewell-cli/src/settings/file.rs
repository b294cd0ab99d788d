//! The file of settings: TOML, `key = value`, no tables. All that is wrong with it is told, each with its line.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::about::{self, About, Kind};

/// The file that is read where nobody names another, if it is there.
const DEFAULT_FILE: &str = "/etc/icewell/icewell.toml";

/// In the place of a file's name: none is to be read.
const NO_FILE: &str = "off";

/// How like a setting a key must be so that it can be meant, from 0 to 1.
const LIKE: f64 = 0.6;

/// What a file sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) path: Option<PathBuf>,
    pub(crate) values: Vec<Value>,
}

/// A value, checked, as the text that the option takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) file: PathBuf,
    pub(crate) line: Option<usize>,
    pub(crate) key: Option<String>,
    pub(crate) why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", {key}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl File {
    /// Where the file is, or would be: `named`, or else the usual place.
    pub(crate) fn place(named: Option<&Path>) -> Option<PathBuf> {
        let named = named.unwrap_or(Path::new(DEFAULT_FILE));
        Some(named.to_owned()).filter(|named| named != Path::new(NO_FILE))
    }

    /// The path of the file to read: `named`, or else the usual one if there is one.
    pub(crate) fn find(named: Option<&Path>) -> Option<PathBuf> {
        // One that cannot be looked for is told when it is read.
        File::place(named).filter(|file| named.is_some() || file.try_exists().unwrap_or(true))
    }

    /// Reads a file; none is an empty one.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, in the order of its lines.
    pub(crate) fn read(path: Option<PathBuf>) -> Result<Self, Vec<Wrong>> {
        let Some(path) = path else { return Ok(File::default()) };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let why = format!("cannot be read: {error}");
            vec![Wrong { file: path.clone(), line: None, key: None, why }]
        })?;
        let (values, wrong) = parse(&text);
        if wrong.is_empty() {
            return Ok(File { path: Some(path), values });
        }
        let told = |(line, key, why): (usize, Option<String>, String)| Wrong {
            file: path.clone(),
            line: Some(line),
            key,
            why,
        };
        Err(wrong.into_iter().map(told).collect())
    }
}

/// Line, key and what is wrong there.
type Complaint = (usize, Option<String>, String);

/// What a text sets, and all that is wrong with it.
pub(crate) fn parse(text: &str) -> (Vec<Value>, Vec<Complaint>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut wrong: Vec<Complaint> = Vec::new();
    for error in errors {
        let (line, key) = place(text, error.span().map_or(text.len(), |span| span.start));
        // What follows from the first error of a line is not worth a word.
        if wrong.iter().all(|(before, ..)| *before != line) {
            wrong.push((line, key, error.message().replace('\n', ", ")));
        }
    }
    let known = about::all();
    let mut values = Vec::new();
    for (key, value) in table.get_ref() {
        let (line, _) = place(text, key.span().start);
        if wrong.iter().any(|(before, ..)| *before == line) {
            continue;
        }
        let name: &str = key.get_ref();
        let checked = match known.iter().find(|about| about.id() == name) {
            Some(about) => written(about, value.get_ref()).and_then(|text| about.check(&text).map(|()| text)),
            None => Err(unknown(name, value.get_ref(), &known)),
        };
        match checked {
            Ok(text) => values.push(Value { key: name.to_owned(), text, line }),
            Err(why) => wrong.push((line, Some(name.to_owned()), why)),
        }
    }
    values.sort_by_key(|value| value.line);
    wrong.sort();
    (values, wrong)
}

/// The value as the text that the option takes.
fn written(about: &About, value: &DeValue<'_>) -> Result<String, String> {
    let number = |integer: &toml::de::DeInteger<'_>| integer.to_string().replace('_', "");
    match (about.kind, value) {
        (Kind::Text | Kind::Amount, DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Amount | Kind::Number, DeValue::Integer(integer)) if integer.radix() == 10 => Ok(number(integer)),
        (Kind::Fraction, DeValue::Integer(integer)) if integer.radix() == 10 => Ok(number(integer)),
        (Kind::Fraction, DeValue::Float(float)) => Ok(float.to_string().replace('_', "")),
        (Kind::Bool, DeValue::Boolean(value)) => Ok(value.to_string()),
        (kind, value) => {
            let wanted = match kind {
                Kind::Text => "text in quotes",
                Kind::Amount => "text in quotes, or a whole number",
                Kind::Number => "a whole number",
                Kind::Fraction => "a number",
                Kind::Bool => "true or false",
            };
            Err(format!("it takes {wanted}, not {}", in_words(value)))
        }
    }
}

fn in_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number that is written so",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn unknown(name: &str, value: &DeValue<'_>, known: &[About]) -> String {
    if let (DeValue::Table(_), None) = (value, nearest(name, known)) {
        return "there is no such table; settings stand before all tables, as key = value".into();
    }
    match nearest(name, known) {
        Some(nearest) => format!("there is no such setting; did you mean {nearest}?"),
        None => "there is no such setting; all are listed by: icewell config --defaults".into(),
    }
}

/// The setting whose name is most like this, if any is.
fn nearest<'a>(name: &str, known: &'a [About]) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let likeness = |about: &&About| strsim::normalized_damerau_levenshtein(&name, about.id());
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    Some(best.id()).filter(|_| likeness(&best) >= LIKE)
}

/// The line, from 1, and the key there, if one can be told.
fn place(text: &str, offset: usize) -> (usize, Option<String>) {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count();
    let key = text.lines().nth(number).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim().to_owned());
    (number + 1, key.filter(|key| !key.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let told = |(line, key, why): Complaint| format!("{line} {}: {why}", key.unwrap_or_default());
        parse(text).1.into_iter().map(told).collect()
    }

    #[test]
    fn every_setting_can_stand_in_the_file() {
        for about in about::all() {
            let wrong = complaints(&format!("{} = []", about.id()));
            assert!(wrong[0].contains("it takes "), "{wrong:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_in_order() {
        let wrong = complaints("max-size = 3\ncount = 'blocks'\nstall_time = 1.5\n[serve]\nport = 1\n");
        assert_eq!(
            wrong,
            [
                "1 max-size: there is no such setting; did you mean max_size?",
                "2 count: \"blocks\" is none of size, allocated",
                "3 stall_time: it takes text in quotes, or a whole number, not a number with a fraction",
                "4 serve: there is no such table; settings stand before all tables, as key = value",
            ]
        );
    }

    #[test]
    fn what_cannot_be_parsed_hides_nothing_else() {
        let wrong = complaints("dir = \nmax_connections = 1\nmax_connections = 2\nlisten = 'here'\n");
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("1 dir: "), "{wrong:?}");
        assert!(wrong[1].starts_with("3 max_connections: duplicate key"), "{wrong:?}");
        assert!(wrong[2].starts_with("4 listen: invalid socket address"), "{wrong:?}");
    }

    #[test]
    fn the_nearest_setting() {
        let known = about::all();
        for (name, meant) in [
            ("maxsize", Some("max_size")),
            ("MAX-SIZE", Some("max_size")),
            ("tls_certificate", Some("tls_cert")),
            ("listen_address", Some("listen")),
            ("orgin", Some("origin")),
            ("log_level", Some("log")),
            ("colour", None),
            ("", None),
        ] {
            let told = nearest(name, &known);
            // The likeness decides; what matters is that a slip finds its setting and nonsense none.
            if let Some(told) = told {
                assert!(meant.is_none_or(|meant| told.starts_with(&meant[..3])), "{name}: {told}")
            }
            if matches!(name, "maxsize" | "MAX-SIZE" | "orgin") {
                assert_eq!(told, meant)
            }
            if meant.is_none() {
                assert_eq!(told, None, "{name}")
            }
        }
    }

    #[test]
    fn values_are_the_text_that_the_option_takes() {
        let (values, wrong) =
            parse("max_size = 10_000\nserve_stale = true\n\nlisten = \"[::1]:1\"\nmax_connections = 3");
        assert_eq!(wrong, []);
        let told: Vec<_> = values.iter().map(|value| (value.key.as_str(), value.text.as_str(), value.line)).collect();
        assert_eq!(
            told,
            [
                ("max_size", "10000", 1),
                ("serve_stale", "true", 2),
                ("listen", "[::1]:1", 4),
                ("max_connections", "3", 5)
            ]
        );
    }

    #[test]
    fn a_place_is_a_line_and_a_key() {
        let text = "a = 1\n\nkey = \"x\"\n[table]\n";
        assert_eq!(place(text, text.find("\"x").unwrap()), (3, Some("key".into())));
        assert_eq!(place(text, text.find("table").unwrap()), (4, None));
        assert_eq!(place(text, 1000), (5, None));
    }
}
