//! What the library promises, one module per promise; and the conformance suite, on the library itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests look at the directory past the library"
)]

#[path = "../support/mod.rs"]
mod support;

mod process;

mod directory;
mod foreign;
mod image_ids;
mod intruders;
mod origin;
mod removed_folders;
mod tags;

mod claims;
#[cfg(debug_assertions)]
mod faults;
mod fills;
mod glance;
mod holes;
mod locks;
mod resume;

mod hits;
mod lru;
mod observe;
mod queue;

mod clean;
mod floor;
mod full_disk;
mod glances_own;
mod hard_limit;
mod open_files;
mod prune;
mod removals;

mod copy_out;
mod doctor;
mod scrub;
mod verify;

#[path = "../conformance/mod.rs"]
mod conformance;
mod conforms;
