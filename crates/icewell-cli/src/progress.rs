//! Progress bars: on standard error, and only if that is a terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Whether there are bars, and what writes beside them.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
    shown: bool,
}

impl Progress {
    /// Bars if standard error is a terminal that can move its cursor, and nobody asked for quiet.
    pub(crate) fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Progress { bars: MultiProgress::new(), shown: !quiet && !dumb && io::stderr().is_terminal() }
    }

    /// A bar for `total` bytes; without a total it only counts. It vanishes when dropped.
    pub(crate) fn bar(&self, label: &str, total: Option<u64>) -> Bar {
        if !self.shown {
            return Bar(ProgressBar::hidden());
        }
        // No colours, here or anywhere: nothing to switch off for NO_COLOR.
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{msg:24!} [{bar:24}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
            ),
            None => (ProgressBar::no_length(), "{msg:24!} {binary_bytes} {binary_bytes_per_sec}"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(bar.with_style(style.progress_chars("=> ")));
        bar.set_message(label.to_owned());
        Bar(bar)
    }

    /// Does what prints, with the bars out of the way.
    pub(crate) fn suspended<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    /// Standard error, for lines that stay while the bars move on.
    pub(crate) fn stderr(&self) -> Beside {
        Beside(self.bars.clone())
    }
}

/// One bar.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// So many bytes in all, of so many.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }

    /// What it is about from now on.
    pub(crate) fn rename(&self, label: &str) {
        self.0.set_message(label.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Writes to standard error with the bars out of the way.
#[derive(Debug)]
pub(crate) struct Beside(MultiProgress);

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
