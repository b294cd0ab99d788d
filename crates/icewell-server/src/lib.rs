//! The pull-through daemon of Icewell.

pub mod conditional;
pub mod key;
pub mod range;
