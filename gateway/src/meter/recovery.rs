//! Recovery of dead lives: drains what this gateway's earlier lives, and other gateways on the same
//! host, left in the journal's directory.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::usage::Life;
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
};

use super::{
    Meter,
    drain::Drain,
    journal::{DeadLife, LaneReader},
    ticks,
};
use crate::lock::locked;

/// Time between two looks for processes that have died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The tasks that drain lanes, and what they need.
pub(super) struct DrainTasks {
    tasks: JoinSet<()>,
    drain: Arc<Drain>,
    progress: Arc<RecoveryProgress>,
    finishing: watch::Receiver<bool>,
}

/// Error: the number of entries in the files of a life is not known.
pub(super) struct Unreadable;

/// Progress of the recovery of earlier lives.
#[derive(Debug, Default)]
pub(super) struct RecoveryProgress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The journal's directory was searched at least once.
    searched: bool,
    /// Lives that are being drained.
    open: usize,
    /// Lives that were drained and not reported yet.
    drained: Vec<Life>,
}

impl DrainTasks {
    pub(super) fn new(drain: Arc<Drain>, progress: Arc<RecoveryProgress>, finishing: watch::Receiver<bool>) -> Self {
        Self { tasks: JoinSet::new(), drain, progress, finishing }
    }

    /// Starts to drain the lanes of this life, one task each.
    pub(super) fn start(&mut self, lanes: Vec<LaneReader>) {
        spawn_lanes(&mut self.tasks, lanes, &self.drain, &self.finishing);
    }

    /// Starts to drain the lives that are dead now.
    pub(super) async fn recover(&mut self, meter: &Arc<Meter>) {
        let meter = Arc::clone(meter);
        let recover = move || {
            // The disk may have been too full for it when this life began. Its start has logged
            // that, and the next will.
            let _ = meter.journal.keep_reserve();
            meter.journal.recover()
        };
        match spawn_blocking(recover).await {
            Ok(Ok(lives)) => {
                self.progress.found(lives.len());
                for life in lives {
                    self.drain_dead(life);
                }
            }
            Ok(Err(error)) => tracing::error!(event = "journal_not_searched", %error),
            // The runtime is ending.
            Err(_) => {}
        }
    }

    /// Drains the lives of processes that die from now on.
    pub(super) async fn keep_recovering(&mut self, meter: &Arc<Meter>) {
        let mut ticks = ticks(LOOK_EVERY);
        loop {
            ticks.tick().await;
            while self.tasks.try_join_next().is_some() {}
            self.recover(meter).await;
        }
    }

    /// Waits until every lane is empty.
    pub(super) async fn finished(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn drain_dead(&mut self, life: DeadLife) {
        let (drain, progress, finishing) =
            (Arc::clone(&self.drain), Arc::clone(&self.progress), self.finishing.clone());
        self.tasks.spawn(async move {
            // A life that fails stays open, for the next life to recover.
            if let Some(drained) = drain_dead(life, drain, finishing).await {
                progress.drained(drained);
            }
        });
    }
}

/// Drains one dead life, sends the ends of its streams, then removes its files. Returns the life,
/// or [`Unreadable`]; none if it must be drained again.
async fn drain_dead(
    mut life: DeadLife,
    drain: Arc<Drain>,
    finishing: watch::Receiver<bool>,
) -> Option<Result<Life, Unreadable>> {
    drain.count_unreadable_files(life.unreadable_files());
    let ends: Vec<_> = life.lanes.iter().map(LaneReader::end_batch).collect();
    let mut lanes = JoinSet::new();
    spawn_lanes(&mut lanes, std::mem::take(&mut life.lanes), &drain, &finishing);
    while let Some(drained) = lanes.join_next().await {
        if let Err(error) = drained {
            tracing::error!(event = "journal_lane_failed", %error);
            return None;
        }
    }
    // An unreadable file may hold more entries, so that the ends of the streams are not known.
    let mut drained = Err(Unreadable);
    if life.unreadable_files() == 0 {
        for end in &ends {
            drain.deliver(end).await;
        }
        drained = Ok(life.life().ok()?);
    }
    if let Err(error) = life.remove() {
        tracing::warn!(event = "journal_not_removed", %error);
    }
    Some(drained)
}

fn spawn_lanes(tasks: &mut JoinSet<()>, lanes: Vec<LaneReader>, drain: &Arc<Drain>, finishing: &watch::Receiver<bool>) {
    for lane in lanes {
        tasks.spawn(Arc::clone(drain).run(lane, finishing.clone()));
    }
}

impl RecoveryProgress {
    /// Adds lives that begin to be drained.
    fn found(&self, lives: usize) {
        let mut state = locked(&self.0);
        state.searched = true;
        state.open += lives;
    }

    /// Counts one of them as drained to its end.
    fn drained(&self, life: Result<Life, Unreadable>) {
        let mut state = locked(&self.0);
        state.open = state.open.saturating_sub(1);
        state.drained.extend(life.ok());
    }

    /// Lives that were not reported yet, and true if no others are left to drain.
    pub(super) fn look(&self) -> (Vec<Life>, bool) {
        let state = locked(&self.0);
        (state.drained.clone(), state.searched && state.open == 0)
    }

    /// Removes lives that were reported.
    pub(super) fn reported(&self, lives: &[Life]) {
        locked(&self.0).drained.retain(|life| !lives.contains(life));
    }
}
