//! Bringing home what gateways that are gone left: this one's earlier lives, and others on the same host.

use std::{sync::Arc, time::Duration};

use common::usage::Life;
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
};

use super::{
    Meter,
    drain::Drain,
    journal::{LaneReader, LeftBoot},
    lives::{Recovery, Unreadable},
    ticks,
};

/// How often somebody's death is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The tasks that drain lanes, and what they need.
pub(super) struct Drains {
    tasks: JoinSet<()>,
    drain: Arc<Drain>,
    recovery: Arc<Recovery>,
    finishing: watch::Receiver<bool>,
}

impl Drains {
    pub(super) fn new(drain: Arc<Drain>, recovery: Arc<Recovery>, finishing: watch::Receiver<bool>) -> Self {
        Self { tasks: JoinSet::new(), drain, recovery, finishing }
    }

    /// Drains lanes of this life, one task each.
    pub(super) fn start(&mut self, lanes: Vec<LaneReader>) {
        spawn_lanes(&mut self.tasks, lanes, &self.drain, &self.finishing);
    }

    /// Takes over what was left.
    pub(super) async fn take_over(&mut self, meter: &Arc<Meter>) {
        let meter = Arc::clone(meter);
        let take_over = move || {
            // The disk may have been too full for it when this life began. The start has told, and the next one will.
            let _ = meter.journal.keep_reserve();
            meter.journal.take_over()
        };
        match spawn_blocking(take_over).await {
            Ok(Ok(boots)) => {
                self.recovery.found(boots.len());
                for boot in boots {
                    self.drain_left(boot);
                }
            }
            Ok(Err(error)) => tracing::error!(event = "journal_not_searched", %error),
            // The runtime is ending.
            Err(_) => {}
        }
    }

    /// Takes over what is left by those who die from now on.
    pub(super) async fn keep_taking_over(&mut self, meter: &Arc<Meter>) {
        let mut ticks = ticks(LOOK_EVERY);
        loop {
            ticks.tick().await;
            while self.tasks.try_join_next().is_some() {}
            self.take_over(meter).await;
        }
    }

    /// Waits until every lane is empty.
    pub(super) async fn finished(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn drain_left(&mut self, boot: LeftBoot) {
        let (drain, recovery, finishing) =
            (Arc::clone(&self.drain), Arc::clone(&self.recovery), self.finishing.clone());
        self.tasks.spawn(async move {
            // One that fails stays open: the next life finds it.
            if let Some(life) = drain_left(boot, drain, finishing).await {
                recovery.done(life);
            }
        });
    }
}

/// Drains what one earlier life left, says that its streams have ended, then removes it. Gives the life, or that it is not
/// known how much was in its files; nothing if it has to be drained again.
async fn drain_left(
    mut boot: LeftBoot,
    drain: Arc<Drain>,
    finishing: watch::Receiver<bool>,
) -> Option<Result<Life, Unreadable>> {
    drain.count_unreadable_files(boot.unreadable_files());
    let ends: Vec<_> = boot.lanes.iter().map(LaneReader::end_batch).collect();
    let mut lanes = JoinSet::new();
    spawn_lanes(&mut lanes, std::mem::take(&mut boot.lanes), &drain, &finishing);
    while let Some(drained) = lanes.join_next().await {
        if let Err(error) = drained {
            tracing::error!(event = "journal_lane_failed", %error);
            return None;
        }
    }
    // A file that cannot be read may hold more: then nobody can say where the streams end.
    let mut drained = Err(Unreadable);
    if boot.unreadable_files() == 0 {
        for end in &ends {
            drain.deliver(end).await;
        }
        drained = Ok(boot.life().ok()?);
    }
    if let Err(error) = boot.remove() {
        tracing::warn!(event = "journal_not_removed", %error);
    }
    Some(drained)
}

fn spawn_lanes(tasks: &mut JoinSet<()>, lanes: Vec<LaneReader>, drain: &Arc<Drain>, finishing: &watch::Receiver<bool>) {
    for lane in lanes {
        tasks.spawn(Arc::clone(drain).run(lane, finishing.clone()));
    }
}
