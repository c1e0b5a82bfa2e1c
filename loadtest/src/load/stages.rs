//! Stages of one run: what happens meanwhile tells them apart, and says when it is enough.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// The stage that a run is in; clones speak of the same run.
#[derive(Debug, Clone, Default)]
pub struct Stages(Arc<State>);

#[derive(Debug, Default)]
struct State {
    current: AtomicUsize,
    over: AtomicBool,
}

impl Stages {
    /// Begins the next stage: it gets the requests that are sent from now on.
    pub fn next(&self) {
        self.0.current.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends an open loop: what is due is still sent, nothing else becomes due.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn current(&self) -> usize {
        self.0.current.load(Ordering::Relaxed)
    }

    pub(super) fn are_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }
}
