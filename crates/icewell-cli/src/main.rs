//! The `icewell` command.

fn main() {}
