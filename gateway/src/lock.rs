//! Locking without a panic of our own.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guarded value, also after a thread panicked while it held the lock: every value locked
/// through here is left whole between two statements.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
