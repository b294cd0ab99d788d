//! The daemon as its clients and operators see it: the real program, real sockets, real files.
//!
//! One module per promise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is how failure is told")]
#![allow(clippy::duplicate_mod, reason = "`by_hyper` is there to run the same tests twice")]

mod fixture;

mod hit_and_miss;
mod hits;
mod keys;
mod real_images;

mod by_hyper;
mod conditional;
mod connections;
mod field;
mod freshness;
mod herd;
mod ranges;

mod admin_page;
mod bad_clients;
mod bad_origins;
mod confined;
mod crowd;
mod failing_origins;
mod full_disk;
mod garbage;
mod healing;
mod intruders;
#[cfg(debug_assertions)]
mod killed;
mod last_moment;
mod lifecycle;
mod limit;
mod lost_disk;
mod manage;
mod metrics;
mod one_directory;
mod open_images;
mod reload;
mod removed;
mod request_log;
mod rot;
mod service;
mod slow_origins;
mod status;
mod summary;
mod top;
mod traces;

mod origin_tls;
mod proxy;
mod tls;
