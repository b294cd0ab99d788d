//! The tools that Glance brings for its cache, for whoever calls this program by one of their names: their arguments,
//! their output, their exit status. What differs, and why, stands in `docs/decisions/0016-the-old-tools.md`.

mod cleaner;
mod manage;
mod periodic;
mod prefetcher;
mod pretty_table;
mod pruner;
mod remote;
mod verbs;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use crate::exit::Exit;

/// One of Glance's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Manage,
    Pruner,
    Cleaner,
    Prefetcher,
}

impl Tool {
    /// The tool of this name: the last part of the path by which a program was called.
    pub(crate) fn called(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?;
        [Tool::Manage, Tool::Pruner, Tool::Cleaner, Tool::Prefetcher].into_iter().find(|tool| name == tool.name())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Manage => "glance-cache-manage",
            Tool::Pruner => "glance-cache-pruner",
            Tool::Cleaner => "glance-cache-cleaner",
            Tool::Prefetcher => "glance-cache-prefetcher",
        }
    }

    /// What the tool is for, in a line.
    fn about(self) -> &'static str {
        match self {
            Tool::Manage => "Manage the image cache of a Glance, or of an icewell serve, by the older management API",
            Tool::Pruner => "Prune Glance's image cache to the limit in its configuration",
            Tool::Cleaner => "Remove failed and stalled fills from Glance's image cache",
            Tool::Prefetcher => "Fetch what is queued in Glance's image cache, by Glance's download API",
        }
    }

    /// Does what `arguments` say, the name of the program first among them.
    pub(crate) fn run(self, arguments: Vec<OsString>) -> Exit {
        writeln!(io::stderr(), "{}", self.notice()).ok();
        match self {
            Tool::Manage => manage::main(&arguments),
            Tool::Pruner => periodic::main(self, &arguments, pruner::run),
            Tool::Cleaner => periodic::main(self, &arguments, cleaner::run),
            Tool::Prefetcher => periodic::main(self, &arguments, prefetcher::run),
        }
    }

    /// What Glance's tool says of itself on standard error at each run.
    fn notice(self) -> String {
        let what = match self {
            Tool::Manage => {
                return "In the Caracal development cycle, the glance-cache-manage command has been deprecated in favor \
                        of the new Cache API. It is scheduled to be removed in the Dalmatian development cycle."
                    .into();
            }
            Tool::Pruner => "pruner",
            Tool::Cleaner => "cleaner",
            Tool::Prefetcher => "prefetcher",
        };
        format!(
            "The Glance cache {what} has been deprecated since the Epoxy (2025.1) release. It will be removed in the G \
             (2026.1) release. The Cache API should be used instead."
        )
    }
}

/// The command lines of all four, for their manual pages.
pub(crate) fn commands() -> [clap::Command; 4] {
    let [pruner, cleaner, prefetcher] = [Tool::Pruner, Tool::Cleaner, Tool::Prefetcher].map(periodic::command);
    [manage::command(), pruner, cleaner, prefetcher]
}

/// What `--version` says: these are not Glance's programs.
const VERSION: &str = concat!("(Icewell) ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_called_by_its_whole_name() {
        let called = |program: &str| Tool::called(OsStr::new(program));
        assert_eq!(called("/usr/bin/glance-cache-pruner"), Some(Tool::Pruner));
        assert_eq!(called("glance-cache-manage"), Some(Tool::Manage));
        for program in ["icewell", "/glance-cache-manage/icewell", "glance-cache-manage.bak", "glance-cache", "", "/"] {
            assert_eq!(called(program), None, "{program}");
        }
    }
}
