//! The documents: what they tell to type is typed, what they link to is there, and no page is left out of the site.
//!
//! Each ```` ```console ```` block of the project's Markdown is typed into a shell and must print what the document says:
//!
//! - `$ ` begins a command, `> ` goes on with it on the next line; what follows is its output, both streams together.
//! - `[..]` in a line of output stands for any text, a line `...` for any number of lines. Several spaces are as good as one.
//! - A command must exit with 0, or else the last line of its output is `? ` and the exit status.
//!
//! What a reader has already, and a test has not, is made by commands in a comment: `<!-- $ mkdir /etc/glance -->`.
//!
//! The blocks of one document share one shell in one empty folder, in order. What they start with `&` is ended with it.
//! `shell.rs` says what stands in the place of a machine's addresses and folders. What needs a real Glance is in blocks
//! ```` ```console glance ````, which `test_docs.py` of `tests/glance/` and of `bindings/python/tests/` run by the same rules. What no test can type is
//! ```` ```sh ````, and stands with its reason in `blocks.rs`.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "reads the repository's own files and makes folders, outside any cache"
)]

mod blocks;
mod documents;
mod examples;
mod links;
mod log_lines;
mod shell;
mod steps;
mod summary;
