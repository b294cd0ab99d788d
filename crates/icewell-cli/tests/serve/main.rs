//! The daemon as its clients and operators see it: the real program, real sockets, real files.
//!
//! One module per promise of `docs/semantics.md` and `docs/http-api.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is how failure is told")]

mod fixture;

mod bad_origins;
mod conditional;
mod freshness;
mod herd;
mod hit_and_miss;
mod hits;
mod limit;
mod ranges;
