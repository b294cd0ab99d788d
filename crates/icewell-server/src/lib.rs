//! The pull-through daemon of Icewell.

pub mod key;
pub mod range;
