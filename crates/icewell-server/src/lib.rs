//! The pull-through daemon of Icewell.

pub mod cache_status;
pub mod conditional;
pub mod key;
pub mod range;
