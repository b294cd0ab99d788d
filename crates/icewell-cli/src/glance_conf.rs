//! What Glance's own configuration file says of its image cache.
//!
//! The syntax is oslo.config's: `key = value` or `key: value` in sections, comments on lines of their own, indented
//! lines go on with the value above, and `$name` or `${name}` stands for another value of the section.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, Result};

/// The settings of Glance's image cache; what the file does not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GlanceConf {
    /// The file they are from, if there was one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) image_cache_dir: Option<PathBuf>,
    pub(crate) image_cache_max_size: Option<u64>,
    pub(crate) image_cache_stall_time: Option<Duration>,
}

impl GlanceConf {
    /// Reads `file`. A file that cannot be read or makes no sense is wrong usage.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let refuse = |why: String| Failure::usage(format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let conf = GlanceConf::parse(&text).map_err(refuse)?;
        Ok(GlanceConf { file: Some(file.into()), ..conf })
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let values = defaults(text)?;
        let value = |key| {
            let value: Option<&String> = values.get(key);
            let value =
                value.map(|value| expand(value, &values, 0).map_err(|why| format!("{key}: {why}"))).transpose()?;
            Ok::<_, String>(value.filter(|value| !value.is_empty()))
        };
        let number = |key| {
            let parse =
                |value: String| value.parse::<u64>().map_err(|_| format!("{key}: {value:?} is no whole number"));
            value(key)?.map(parse).transpose()
        };
        Ok(GlanceConf {
            file: None,
            image_cache_dir: value("image_cache_dir")?.map(PathBuf::from),
            image_cache_max_size: number("image_cache_max_size")?,
            image_cache_stall_time: number("image_cache_stall_time")?.map(Duration::from_secs),
        })
    }
}

/// The values of the section `[DEFAULT]`; the last of several with one key counts.
fn defaults(text: &str) -> std::result::Result<HashMap<String, String>, String> {
    let mut values = HashMap::new();
    let mut section = "";
    // The key of the value that an indented line would go on with.
    let mut open: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let refuse = |why: &str| Err(format!("line {}: {why}", number + 1));
        if line.is_empty() {
            open = None;
        } else if line.starts_with([' ', '\t']) {
            let Some(key) = &open else { return refuse("it is indented, but there is no value to go on with") };
            if let Some(value) = values.get_mut(key) {
                let value: &mut String = value;
                value.push('\n');
                value.push_str(line.trim_start());
            }
        } else if let Some(name) = line.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else { return refuse("the section's name has no ']' after it") };
            section = name;
            open = None;
        } else if !line.starts_with(['#', ';']) {
            let Some((key, value)) = line.split_once(['=', ':']) else { return refuse("it is not KEY = VALUE") };
            let key = key.trim().to_owned();
            if section == "DEFAULT" {
                values.insert(key.clone(), unquote(value.trim()).to_owned());
            }
            open = Some(key).filter(|_| section == "DEFAULT").or(Some(String::new()));
        }
    }
    Ok(values)
}

fn unquote(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// Puts values for the names behind `$`; `$$` and `\$` are a dollar sign.
fn expand(value: &str, values: &HashMap<String, String>, depth: u32) -> std::result::Result<String, String> {
    if depth > 8 {
        return Err("it refers to itself".into());
    }
    let mut expanded = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if let Some(plain) = before.strip_suffix('\\') {
            expanded.push_str(plain);
            expanded.push('$');
            rest = after;
            continue;
        }
        expanded.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        let named = values.get(name).ok_or_else(|| format!("it refers to ${name}, which the file does not set"))?;
        expanded.push_str(&expand(named, values, depth + 1)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_settings_of_the_default_section() {
        let conf = GlanceConf::parse(
            "# image_cache_dir = /commented\n\
             [paste_deploy]\nflavor = keystone+cachemanagement\nimage_cache_dir = /elsewhere\n\
             [DEFAULT]\n; a comment\nenabled_backends = fast:file,\n  slow:swift\n\
             image_cache_dir = \"/var/lib/glance/image-cache/\"\n\
             image_cache_max_size: 1\nimage_cache_max_size = 5368709120\nimage_cache_stall_time=3600\n",
        )
        .unwrap();
        assert_eq!(conf.image_cache_dir, Some("/var/lib/glance/image-cache/".into()));
        assert_eq!(conf.image_cache_max_size, Some(5 << 30));
        assert_eq!(conf.image_cache_stall_time, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn what_the_file_does_not_say_is_none() {
        for text in ["", "[DEFAULT]\n", "[DEFAULT]\nimage_cache_dir =\n", "\n\n[glance_store]\na = b\n  c\n"] {
            assert_eq!(GlanceConf::parse(text), Ok(GlanceConf::default()), "{text:?}");
        }
    }

    #[test]
    fn names_stand_for_values() {
        let dir = |value: &str| {
            let text = format!("[DEFAULT]\nstate = /var\nbase=${{state}}/lib\nloop=$loop\nimage_cache_dir={value}\n");
            GlanceConf::parse(&text).map(|conf| conf.image_cache_dir.unwrap())
        };
        assert_eq!(dir("$base/cache"), Ok("/var/lib/cache".into()));
        assert_eq!(dir("/a$$b"), Ok("/a$b".into()));
        assert_eq!(dir(r"/a\$b"), Ok("/a$b".into()));
        assert_eq!(
            dir("$nowhere/x"),
            Err("image_cache_dir: it refers to $nowhere, which the file does not set".into())
        );
        assert_eq!(dir("$loop"), Err("image_cache_dir: it refers to itself".into()));
    }

    #[test]
    fn nonsense_is_told_with_its_line_or_key() {
        for (text, told) in [
            ("[DEFAULT\n", "line 1: the section's name has no ']' after it"),
            ("[DEFAULT]\nimage_cache_dir\n", "line 2: it is not KEY = VALUE"),
            ("  indented\n", "line 1: it is indented, but there is no value to go on with"),
            ("[DEFAULT]\nimage_cache_max_size = 10GiB\n", "image_cache_max_size: \"10GiB\" is no whole number"),
            ("[DEFAULT]\nimage_cache_stall_time = -1\n", "image_cache_stall_time: \"-1\" is no whole number"),
        ] {
            assert_eq!(GlanceConf::parse(text), Err(told.into()));
        }
    }
}
