//! The locks and atomics of what many threads share. `tests/interleavings.rs` puts loom's in their place, and so goes
//! through every order in which threads can meet.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
