//! The queue between the request path and the keeper.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::cell::QuotaCell;
use crate::lock::locked;

/// Cells that the keeper has to serve.
#[derive(Default)]
pub(super) struct DrawQueue {
    /// Cells that need a block, oldest first.
    pub(super) draw: Mutex<VecDeque<Arc<QuotaCell>>>,
    /// Cells of past months, whose units go back.
    pub(super) retired: Mutex<Vec<Arc<QuotaCell>>>,
    /// Notified when `draw` has a new cell.
    pub(super) wake: Notify,
}

impl DrawQueue {
    /// Queues a cell that needs a block.
    pub(super) fn push(&self, cell: Arc<QuotaCell>) {
        locked(&self.draw).push_back(cell);
        self.wake.notify_one();
    }

    /// Adds a cell of a past month.
    pub(super) fn retire(&self, cell: Arc<QuotaCell>) {
        locked(&self.retired).push(cell);
    }
}
