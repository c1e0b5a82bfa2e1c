//! Telling the store of this life, and of the earlier ones whose journals were found: so a life whose journal is gone is
//! noticed, and never one whose journal somebody still has.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    store::{Store, StoreError},
    time::{Clock as _, SystemClock},
    usage::Life,
};
use tokio::{sync::watch, time::timeout};

use super::{Meter, UsageSink, journal::Unfetched, ticks};
use crate::{lock::locked, outage::Outage, schema::SchemaFit};

/// How often it is looked whether there is something to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the last word may take at shutdown.
const LAST_WORD_DEADLINE: Duration = Duration::from_secs(5);

/// It is not known how much was in the files of a life.
pub(super) struct Unreadable;

/// How far the recovery of earlier lives is.
#[derive(Debug, Default)]
pub(super) struct Recovery(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the journals were looked for.
    searched: bool,
    /// Lives that are being drained.
    open: usize,
    /// Lives that were drained and are not told of yet.
    drained: Vec<Life>,
}

impl Recovery {
    /// So many lives were found, which begin to be drained.
    pub(super) fn found(&self, lives: usize) {
        let mut state = locked(&self.0);
        state.searched = true;
        state.open += lives;
    }

    /// One of them was drained to its end.
    pub(super) fn done(&self, life: Result<Life, Unreadable>) {
        let mut state = locked(&self.0);
        state.open = state.open.saturating_sub(1);
        state.drained.extend(life.ok());
    }

    /// Lives that are not told of yet, and whether no others are left.
    fn look(&self) -> (Vec<Life>, bool) {
        let state = locked(&self.0);
        (state.drained.clone(), state.searched && state.open == 0)
    }

    fn told(&self, lives: &[Life]) {
        locked(&self.0).drained.retain(|life| !lives.contains(life));
    }
}

/// What was told of the own life.
#[derive(Default)]
struct Told {
    begun: bool,
    none_left: bool,
}

impl Meter {
    /// As [`Meter::run`], telling the store meanwhile which lives of gateways have begun and which are drained. That the store
    /// is away is told by `outage`; nothing is written while its schema is not known.
    pub(crate) async fn run_telling(
        self: Arc<Self>,
        sink: Arc<dyn UsageSink>,
        (store, outage, schema): (Store, Arc<Outage>, Arc<SchemaFit>),
        shutdown: watch::Receiver<bool>,
    ) {
        let mut told = Told::default();
        {
            let mut run = std::pin::pin!(Arc::clone(&self).run(sink, shutdown));
            let refused = Outage::new("telling of gateway lives");
            let mut ticks = ticks(LOOK_EVERY);
            loop {
                tokio::select! {
                    biased;
                    () = &mut run => break,
                    () = async {
                        ticks.tick().await;
                        match self.tell(&store, &schema, &mut told).await {
                            Ok(()) => refused.over(),
                            Err(error) if error.is_unreachable() => outage.failed(&error),
                            Err(error) => refused.failed(&error),
                        }
                    } => {}
                }
            }
        }
        let last_word = async {
            self.tell(&store, &schema, &mut told).await?;
            // Nothing is left that its journal could be missed for.
            if self.journal.unacknowledged() == 0 {
                store.end_lives(std::slice::from_ref(self.journal.life()), SystemClock.now()).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Ok(Err(error)) = timeout(LAST_WORD_DEADLINE, last_word).await {
            tracing::warn!(event = "gateway_life_not_told", %error);
        }
    }

    /// Tells what is new.
    async fn tell(&self, store: &Store, schema: &SchemaFit, told: &mut Told) -> Result<(), StoreError> {
        schema.check()?;
        let life = self.journal.life();
        if !told.begun {
            store.begin_life(life, SystemClock.now()).await?;
            told.begun = true;
        }
        let (drained, none_left) = self.recovery.look();
        if !drained.is_empty() {
            store.end_lives(&drained, SystemClock.now()).await?;
            self.recovery.told(&drained);
        }
        if none_left && !told.none_left && self.journal.unfetched() == Unfetched::default() {
            store.no_journal_left(life, SystemClock.now()).await?;
            told.none_left = true;
        }
        Ok(())
    }
}
