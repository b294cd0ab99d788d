//! The pull-through daemon of Icewell.

pub mod key;
