//! The pull-through daemon of Icewell.

pub mod cache_status;
pub mod conditional;
pub mod digest_fields;
pub mod freshness;
pub mod key;
pub mod range;
