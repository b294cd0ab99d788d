//! The values of several files as one, as oslo.config has them: the last of several counts, a variable of the
//! environment counts before all files, and `$name` stands for another value.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::ini;
use crate::failure::{Failure, Result};

/// How deep values may refer to others: deeper is taken for a circle.
const MAX_DEPTH: u32 = 16;

/// What a number of configuration files say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conf {
    /// By section and key.
    values: HashMap<(String, String), Value>,
    files: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    /// File and line, or variable: `/etc/glance/glance-api.conf, line 3`.
    place: String,
}

impl Conf {
    /// Reads a file over what was read before.
    pub(crate) fn add_file(&mut self, file: &Path) -> Result<()> {
        let refuse = |why: String| Failure::usage(format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        for found in ini::parse(&text).map_err(refuse)? {
            let place = format!("{}, line {}", file.display(), found.line);
            self.values.insert((found.section, found.key), Value { text: found.value, place });
        }
        self.files.push(file.into());
        Ok(())
    }

    /// Reads the `*.conf` of a folder, by name, over what was read before.
    pub(crate) fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let refuse = |error: std::io::Error| Failure::usage(format!("{}: cannot be read: {error}", folder.display()));
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(folder).map_err(refuse)?.collect();
        let mut names: Vec<_> = entries.map_err(refuse)?.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        let names = names.iter().filter_map(|name| name.to_str());
        for name in names.filter(|name| name.ends_with(".conf") && !name.starts_with('.')) {
            self.add_file(&folder.join(name))?;
        }
        Ok(())
    }

    /// The files that were read, in order.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What is set, variables put in; none where it is not set, or to nothing.
    pub(crate) fn text(&self, section: &str, key: &str) -> Result<Option<String>> {
        let Some(value) = self.value(section, key) else { return Ok(None) };
        let text = self.expand(&value.text, section, 0).map_err(|why| told(&value, key, &why))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A whole number, as Python writes it: blanks around it, a plus sign and underscores between digits are allowed.
    pub(crate) fn whole_number(&self, section: &str, key: &str) -> Result<Option<u64>> {
        let (Some(text), Some(value)) = (self.text(section, key)?, self.value(section, key)) else { return Ok(None) };
        let plain = text.trim();
        let digits = plain.strip_prefix('+').unwrap_or(plain);
        let parts: Vec<&str> = digits.split('_').collect();
        let well_formed = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        match (plain.is_empty(), parts.concat().parse()) {
            (true, _) => Ok(None),
            (false, Ok(number)) if well_formed => Ok(Some(number)),
            (false, _) => Err(told(&value, key, &format!("{text:?} is no whole number"))),
        }
    }

    /// Yes or no, in oslo.config's words.
    pub(crate) fn flag(&self, section: &str, key: &str) -> Result<Option<bool>> {
        let (Some(text), Some(value)) = (self.text(section, key)?, self.value(section, key)) else { return Ok(None) };
        match text.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(told(&value, key, &format!("{text:?} is neither true nor false"))),
        }
    }

    fn value(&self, section: &str, key: &str) -> Option<Value> {
        let name = format!("OS_{}__{}", section.to_uppercase(), key.to_uppercase());
        match std::env::var(&name) {
            Ok(text) => Some(Value { text, place: name }),
            Err(_) => self.values.get(&(section.to_owned(), key.to_owned())).cloned(),
        }
    }

    /// Puts values for the names behind `$`, which may be in braces and may begin with a section and a dot; `$$` and
    /// `\$` are a dollar sign, and so is one with no name behind it.
    fn expand(&self, text: &str, section: &str, depth: u32) -> std::result::Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("it refers to itself".into());
        }
        let text = text.replace("\\$", "$$");
        let mut expanded = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let braced = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let (name, after) = match braced.filter(|(name, _)| !name.is_empty() && name_at_start(name) == name.len()) {
                Some((name, after)) => (name, after),
                None if after.starts_with('$') => ("", &after[1..]),
                None => after.split_at(name_at_start(after)),
            };
            if name.is_empty() {
                expanded.push('$');
            } else {
                expanded.push_str(&self.named(name, section, depth)?);
            }
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn named(&self, name: &str, section: &str, depth: u32) -> std::result::Result<String, String> {
        let (there, key) = name.split_once('.').unwrap_or((section, name));
        let found = self.value(there, key).map(|value| (value, there));
        let found = found.or_else(|| self.value("DEFAULT", name).map(|value| (value, "DEFAULT")));
        let (value, there) = found.ok_or_else(|| format!("it refers to ${name}, which is not set"))?;
        self.expand(&value.text, there, depth + 1)
    }
}

fn told(value: &Value, key: &str, why: &str) -> Failure {
    Failure::usage(format!("{}: {key}: {why}", value.place))
}

/// The length of the name that `text` begins with.
fn name_at_start(text: &str) -> usize {
    let is_first = |char: char| char.is_ascii_alphabetic() || char == '_';
    if !text.starts_with(is_first) {
        return 0;
    }
    text.find(|char: char| !(is_first(char) || char.is_ascii_digit() || char == '.')).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> Conf {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("conf");
        std::fs::write(&file, text).unwrap();
        let mut conf = Conf::default();
        conf.add_file(&file).unwrap();
        conf
    }

    fn text(value: &str) -> std::result::Result<String, String> {
        let conf = conf(&format!(
            "[DEFAULT]\nstate = /var\nbase=${{state}}/lib\nloop=$loop\nempty=\nx={value}\n[store]\ndir = $base/store\n"
        ));
        conf.text("DEFAULT", "x").map(Option::unwrap_or_default).map_err(|error| {
            let told = error.to_string();
            told.split_once("x: ").unwrap().1.to_owned()
        })
    }

    #[test]
    fn names_stand_for_values() {
        for (value, expected) in [
            ("$base/cache", "/var/lib/cache"),
            ("${store.dir}", "/var/lib/store"),
            ("$store.dir", "/var/lib/store"),
            ("a${empty}b", "ab"),
            ("/a$$b", "/a$b"),
            (r"/a\$b", "/a$b"),
            ("$1 $ ${ ${a-b} ${} $", "$1 $ ${ ${a-b} ${} $"),
        ] {
            assert_eq!(text(value), Ok(expected.into()), "{value}");
        }
        assert_eq!(text("$nowhere/x"), Err("it refers to $nowhere, which is not set".into()));
        assert_eq!(text("$loop"), Err("it refers to itself".into()));
    }

    #[test]
    fn numbers_and_flags_are_pythons() {
        let number = |value| conf(&format!("[DEFAULT]\nx = {value}\n")).whole_number("DEFAULT", "x");
        for (value, expected) in [("10", Some(10)), ("' 1_000 '", Some(1000)), ("+5", Some(5)), ("", None)] {
            assert_eq!(number(value).unwrap(), expected, "{value}");
        }
        for value in ["10GiB", "-1", "1__0", "_1", "1.5", "0x10", "+", "99999999999999999999"] {
            let told = number(value).unwrap_err().to_string();
            assert!(told.ends_with(&format!("conf, line 2: x: {value:?} is no whole number")), "{told}");
        }
        let flag = |value| conf(&format!("[DEFAULT]\nx = {value}\n")).flag("DEFAULT", "x");
        assert_eq!((flag("Yes").unwrap(), flag("off").unwrap(), flag("").unwrap()), (Some(true), Some(false), None));
        assert!(flag("maybe").is_err());
    }
}
