//! The same tests once more, over connections that hyper serves instead of the daemon's own loop: `fixture/client.rs` sees
//! by the test's name that it is one of these, and asks in a way that is left to hyper.

#[path = "bad_origins.rs"]
mod bad_origins;
#[path = "conditional.rs"]
mod conditional;
#[path = "freshness.rs"]
mod freshness;
#[path = "hit_and_miss.rs"]
mod hit_and_miss;
#[path = "hits.rs"]
mod hits;
#[path = "keys.rs"]
mod keys;
#[path = "ranges.rs"]
mod ranges;
