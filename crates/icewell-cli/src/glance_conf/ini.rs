//! The syntax of oslo.config's files: `key = value` or `key: value` in sections, comments on lines of their own, and
//! indented lines that go on with the value above. What oslo.config refuses is refused.

/// A value, with the number of the line on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// All assignments of a file, in order. The error names the line.
pub(crate) fn parse(text: &str) -> Result<Vec<Assignment>, String> {
    let mut assignments: Vec<Assignment> = Vec::new();
    let mut section: Option<String> = None;
    // Whether an indented line goes on with the last assignment: not after a blank line, a comment, a section.
    let mut open = false;
    // Python reads files with all three ends of line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_end();
        let refuse = |why: &str| Err(format!("line {}: {why}", index + 1));
        if line.is_empty() {
            open = false;
        } else if line.starts_with([' ', '\t']) {
            let Some(last) = assignments.last_mut().filter(|_| open) else {
                return refuse("it is indented, but there is no value to go on with");
            };
            last.value.push('\n');
            last.value.push_str(line.trim_start());
        } else if let Some(name) = line.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else { return refuse("the section's name has no ']' after it") };
            if name.is_empty() {
                return refuse("the section has no name");
            }
            // Sections are told apart without their case, but for the one.
            section = Some(if name == "DEFAULT" { name.into() } else { name.to_lowercase() });
            open = false;
        } else if line.starts_with(['#', ';']) {
            open = false;
        } else {
            let Some((key, value)) = line.split_once(['=', ':']) else { return refuse("it is not KEY = VALUE") };
            let key = key.trim().to_owned();
            if key.is_empty() {
                return refuse("there is no key before the value");
            }
            let Some(section) = section.clone() else { return refuse("it stands before any [section]") };
            assignments.push(Assignment { section, key, value: unquoted(value.trim()).into(), line: index + 1 });
            open = true;
        }
    }
    Ok(assignments)
}

/// The value without its quotes: a first character that is one, and the same one at the end. A lone quote is both.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && value.ends_with(quote)
        {
            return rest.strip_suffix(quote).unwrap_or(rest);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, String)> {
        parse(text).unwrap().into_iter().map(|found| (found.section, found.key, found.value)).collect()
    }

    fn value(text: &str) -> String {
        values(&format!("[DEFAULT]\n{text}\n")).remove(0).2
    }

    #[test]
    fn sections_keys_and_values() {
        let text = "# a comment\n[DEFAULT]\nA = b\n;c = d\n c: d\r\n";
        assert_eq!(parse(text), Err("line 5: it is indented, but there is no value to go on with".into()));
        let text = "[DEFAULT]\na = b:c\nd:e=f\r\n\n[Paste_Deploy]\rflavor=\n";
        let expected = [("DEFAULT", "a", "b:c"), ("DEFAULT", "d", "e=f"), ("paste_deploy", "flavor", "")];
        assert_eq!(values(text), expected.map(|(section, key, value)| (section.into(), key.into(), value.into())));
    }

    #[test]
    fn indented_lines_go_on_with_the_value() {
        assert_eq!(value("a = b\n  c \n\t# d"), "b\nc\n# d");
        for end in ["", "# comment", "[section]"] {
            let text = format!("[DEFAULT]\na = b\n{end}\n  c\n");
            assert_eq!(parse(&text), Err("line 4: it is indented, but there is no value to go on with".into()));
        }
    }

    #[test]
    fn quotes_around_the_whole_value_are_not_part_of_it() {
        for (text, expected) in
            [("\"a b\"", "a b"), ("'a'", "a"), ("\"a'", "\"a'"), ("''a''", "'a'"), ("\"", ""), ("a\"", "a\"")]
        {
            assert_eq!(value(&format!("a = {text}")), expected);
        }
    }

    #[test]
    fn nonsense_is_told_with_its_line() {
        for (text, told) in [
            ("[DEFAULT\n", "line 1: the section's name has no ']' after it"),
            ("[DEFAULT] # comment\n", "line 1: the section's name has no ']' after it"),
            ("\n[]\n", "line 2: the section has no name"),
            ("[DEFAULT]\nimage_cache_dir\n", "line 2: it is not KEY = VALUE"),
            ("[DEFAULT]\n= 3\n", "line 2: there is no key before the value"),
            ("a = b\n[DEFAULT]\n", "line 1: it stands before any [section]"),
        ] {
            assert_eq!(parse(text), Err(told.into()));
        }
    }
}
