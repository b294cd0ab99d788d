//! What is under way, one of each: who wants what somebody has begun joins it, and of all who want it at once one begins.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The things under way, by key.
#[derive(Debug)]
pub(crate) struct InFlight<K, T>(Mutex<HashMap<K, Arc<T>>>);

impl<K, T> Default for InFlight<K, T> {
    fn default() -> Self {
        InFlight(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, T> InFlight<K, T> {
    pub(crate) fn get(&self, key: &K) -> Option<Arc<T>> {
        self.lock().get(key).cloned()
    }

    /// The one under way, and whether it is new and the caller's to run.
    pub(crate) fn join_or_begin(&self, key: K, new: impl FnOnce() -> Arc<T>) -> (Arc<T>, bool) {
        match self.lock().entry(key) {
            Entry::Occupied(entry) => (entry.get().clone(), false),
            Entry::Vacant(entry) => (entry.insert(new()).clone(), true),
        }
    }

    /// Takes this one off; another that has begun under the same key since stays.
    pub(crate) fn remove(&self, key: K, ended: &Arc<T>) {
        if let Entry::Occupied(entry) = self.lock().entry(key)
            && Arc::ptr_eq(entry.get(), ended)
        {
            entry.remove();
        }
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// No code that holds the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
