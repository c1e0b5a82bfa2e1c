//! Which worker has which partition.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    task::{JoinError, JoinSet},
};

use super::{Shared, Stop, Stopper, rebalance::Change, worker::Worker};

/// Longest that the transactions in hand may take once this process was told to stop.
const FINISH_TIME_LIMIT: Duration = Duration::from_secs(10);

/// A worker for each partition of this process.
pub(super) struct Workers {
    shared: Arc<Shared>,
    running: HashMap<i32, Stopper>,
    /// Held by the worker of a partition, by number.
    turns: HashMap<i32, Arc<Mutex<()>>>,
    tasks: JoinSet<()>,
}

impl Workers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: HashMap::new(), turns: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Starts and stops workers as partitions come and go.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Assigned(partitions) => partitions.into_iter().for_each(|partition| self.start(partition)),
            // The store's position makes sure that nothing is booked twice, so nobody has to wait
            // for the worker.
            Change::Revoked(partitions) => self.running.retain(|partition, _| !partitions.contains(partition)),
        }
    }

    /// Lets the partition be read from the stored position again, if it is ours: a message of it
    /// went astray.
    pub(super) fn restart(&mut self, partition: i32) {
        if self.running.contains_key(&partition) {
            self.start(partition);
        }
    }

    fn start(&mut self, partition: i32) {
        let (stopper, stop) = Stop::new();
        // Whoever ran before is told by this, as its stopper is dropped.
        self.running.insert(partition, stopper);
        let turn = Arc::clone(self.turns.entry(partition).or_default());
        let worker = Worker { shared: Arc::clone(&self.shared), partition, stop };
        self.tasks.spawn(worker.run(turn));
    }

    /// Waits until a worker ends, which is odd only if it says so; none if there is none.
    pub(super) async fn ended(&mut self) -> Option<Result<(), JoinError>> {
        self.tasks.join_next().await
    }

    /// Tells all workers to stop and waits for the transactions in hand. What is not done by then
    /// is not booked, and somebody else will.
    pub(super) async fn stop(&mut self) {
        self.running.clear();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_TIME_LIMIT, finished).await.is_err() {
            tracing::warn!(event = "transactions_cut_off", seconds = FINISH_TIME_LIMIT.as_secs());
            self.tasks.shutdown().await;
        }
    }
}
