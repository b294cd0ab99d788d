//! The command, run as its users run it: one module per promise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is how failure is told")]
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

mod env;

mod add;
mod adopt;
mod clean;
mod config;
mod doctor;
mod exit_status;
mod fetch;
mod generated;
mod get;
mod glance_cache_tools;
mod glance_conf;
mod hits;
mod ls;
mod names;
mod options;
mod pin;
mod pipes;
mod progress;
mod prune;
mod queue;
mod rm;
mod serve;
mod status;
mod verify;
