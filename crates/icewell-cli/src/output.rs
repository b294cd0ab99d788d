//! What the command prints: data and messages to standard output, diagnostics to standard error.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{BinaryBytes, HumanDuration};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::progress::{Bar, Progress};

/// Where output goes and how much of it there is.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    progress: Progress,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Output { json, quiet, progress: Progress::new(quiet) }
    }

    /// Whether a program reads standard output.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A progress bar for the image, or whatever else bears a name from outside.
    pub(crate) fn bar(&self, name: &str, total: Option<u64>) -> Bar {
        self.progress.bar(&escape(name), total)
    }

    /// Prints what was asked for.
    pub(crate) fn print(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
    }

    /// Prints a value as JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        let mut text =
            serde_json::to_vec_pretty(value).map_err(|error| Failure::failed(format!("cannot make JSON: {error}")))?;
        text.push(b'\n');
        self.print(&text)
    }

    /// Prints a table; of an empty one nothing, but for a note where somebody looks at a terminal.
    pub(crate) fn table(&self, columns: &[Column], rows: Vec<Vec<String>>, empty: &str) -> Result<()> {
        if rows.is_empty() {
            if io::stdout().is_terminal() && !self.quiet {
                self.note(empty);
            }
            return Ok(());
        }
        self.print(render(columns, rows).as_bytes())
    }

    /// Prints one line about what was done; not for programs, nor where quiet was asked for.
    pub(crate) fn say(&self, line: &str) -> Result<()> {
        if self.json || self.quiet {
            return Ok(());
        }
        self.print_line(line)
    }

    /// Prints one line that was asked for.
    pub(crate) fn print_line(&self, line: &str) -> Result<()> {
        self.progress.suspended(|| self.print(format!("{}\n", escape(line)).as_bytes()))
    }

    /// Tells a failure, on one line of standard error.
    pub(crate) fn note(&self, message: impl Display) {
        // Where standard error is gone there is nobody left to tell.
        writeln!(self.progress.stderr(), "icewell: {}", escape(&message.to_string())).ok();
    }
}

/// A column's heading, and whether it holds numbers.
pub(crate) enum Column {
    Text(&'static str),
    Number(&'static str),
}

fn render(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(heading) | Column::Number(heading) => *heading,
    }));
    for row in rows {
        table.add_row(row.iter().map(|cell| escape(cell)));
    }
    for (column, definition) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if matches!(definition, Column::Number(_)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text with its control characters escaped as in Rust and JSON, so that no name can steer a terminal or fake a
/// line. So are the characters that reorder or hide what stands around them.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        let hides =
            matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if char.is_control() || hides {
            escaped.extend(char.escape_default());
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// `1.50 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// `3 images`, `1 image`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `2 hours ago`; a time to come is told as the date it is.
pub(crate) fn ago(time: SystemTime) -> String {
    match SystemTime::now().duration_since(time) {
        Ok(age) if age < Duration::from_secs(1) => "just now".into(),
        Ok(age) => format!("{} ago", HumanDuration(age)),
        Err(_) => humantime::format_rfc3339_seconds(time).to_string(),
    }
}

/// Seconds since the epoch, with their fraction.
pub(crate) fn epoch(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Appends `name: value` as a line, values in one column.
pub(crate) fn field(text: &mut String, name: &str, value: impl Display) {
    writeln!(text, "{:14} {}", format!("{name}:"), escape(&value.to_string())).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_steers_a_terminal() {
        assert_eq!(escape("a\nb\u{1b}[2J\u{7f}\u{9b}\u{202e}ü"), "a\\nb\\u{1b}[2J\\u{7f}\\u{9b}\\u{202e}ü");
    }

    #[test]
    fn a_table_has_no_trailing_blanks_and_aligns_numbers() {
        let columns = [Column::Text("ID"), Column::Number("HITS"), Column::Text("NAME")];
        let text = render(
            &columns,
            vec![vec!["a".into(), "7".into(), String::new()], vec!["longer".into(), "12345".into(), "x\ny".into()]],
        );
        assert_eq!(text, "ID       HITS  NAME\na           7\nlonger  12345  x\\ny\n");
    }

    #[test]
    fn times_before_the_epoch_are_negative() {
        assert_eq!(epoch(UNIX_EPOCH - Duration::from_millis(1500)), -1.5);
        assert_eq!(epoch(UNIX_EPOCH + Duration::from_millis(1500)), 1.5);
    }
}
