//! The pull-through daemon of Icewell.
