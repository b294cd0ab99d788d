#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! The async edge around the synchronous library.
//! A request's way: `server` takes it from the socket, `get_image` answers it in numbered steps. It finds the image
//! in the cache, or joins the one `fill` of it under way, or starts that; the `filler` asks the `origin` and feeds
//! the library's `Writer` on a thread of its own; `body` sends what is asked for, from a cached file and from
//! a growing one alike. What broke off goes on by `rest`; what cannot be cached goes through by `pass`. The `janitor`
//! keeps the directory in order, `prefetch` works off the queue. Who may tells the daemon what to do by `manage`.
//!
//! To a Glance the daemon is somebody, too, if it was told who: `keystone` logs in, `service`
//! asks, `gone` drops what Glance has no more.
//!
//! One concern of HTTP each: `key`, `conditional`, `range`, `freshness`, `digest_fields`, `cache_status`,
//! `via`.

mod closing;
mod config;
mod confine;
mod connection;
mod connections;
mod descriptors;
mod error;
mod libraries;
mod live;
mod memory;
mod notify;
mod prepared;
mod server;
mod socket;
mod sockets;
mod taking;
mod threads;
mod tls;
mod watchdog;

mod daemon;
mod get_image;
mod image_head;

mod body;
mod fill;
mod filler;
mod in_flight;
mod open_images;
mod pages;
mod pass;
mod rest;
mod sync;
mod tally;

mod permits;
mod proxy;
mod route;
mod versions;

mod gone;
mod keystone;
mod service;

mod origin;

mod admin;
mod admin_actions;
mod census;
mod counters;
mod failures;
mod fetch;
mod health;
mod history;
mod image_list;
mod janitor;
mod legacy_api;
mod looking;
mod manage;
mod metrics;
mod pace;
mod page;
mod prefetch;
mod redact;
mod request_log;
mod rot;
mod scrub;
mod scrub_progress;
mod status;
mod traces;
mod verifications;

mod cache_status;
mod conditional;
mod digest_fields;
mod freshness;
mod key;
mod range;
mod retry_after;
mod via;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use config::{Config, DEFAULT_MAX_CONNECTIONS, OnReady, OnReload, Ready, Reloaded};
pub use error::Error;
pub use fetch::{Fetched, Fetcher, Patience};
pub use health::{Fullness, Level, Note};
pub use keystone::{Credentials, FIELDS};
pub use legacy_api::{LegacyAnswer, LegacyApi};
pub use looking::{AdminListener, reach_origin};
pub use origin::is_glance;
pub use prepared::check;
pub use server::serve;
pub use traces::Otlp;
