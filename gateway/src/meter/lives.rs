//! Reports to the store that this life has begun, up to when its usage is handed in, and which
//! earlier lives are drained, so that the store closes their leases. A life whose journal is lost is
//! noticed by that.
//!
//! Invariants: a life is reported as drained only after all its usage was delivered, and as handed
//! in up to an instant only after all that it recorded before was.

use std::{sync::Arc, time::Duration};

use common::{
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
};
use tokio::{sync::watch, time::timeout};

use super::{Meter, UsageSink, journal::Unrecovered, ticks};
use crate::{outage::Outage, schema::SchemaFit};

/// Time between two looks for something to report.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest time for the last report at shutdown.
const LAST_REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// Time between two reports of up to when usage is handed in.
const HANDED_IN_EVERY_SECONDS: i64 = 15;

/// Reports about this life that were made.
#[derive(Default)]
struct Reported {
    begun: bool,
    none_left: bool,
    handed_in: Option<Micros>,
    /// An instant, and the entries of each lane that were appended before it.
    awaited: Option<(Micros, Vec<u64>)>,
}

impl Meter {
    /// Same as [`Meter::run`], and reports to the store meanwhile. Outages of the store are logged
    /// through `outage`. Nothing is written while the store's schema is not known.
    pub(crate) async fn run_reporting(
        self: Arc<Self>,
        sink: Arc<dyn UsageSink>,
        (store, outage, schema): (Store, Arc<Outage>, Arc<SchemaFit>),
        shutdown: watch::Receiver<bool>,
    ) {
        let mut reported = Reported::default();
        {
            let mut run = std::pin::pin!(Arc::clone(&self).run(sink, shutdown));
            let refused = Outage::new("report of gateway lives");
            let mut ticks = ticks(LOOK_EVERY);
            loop {
                tokio::select! {
                    biased;
                    () = &mut run => break,
                    () = async {
                        ticks.tick().await;
                        match self.report(&store, &schema, &mut reported).await {
                            Ok(()) => refused.over(),
                            Err(error) if error.is_unreachable() => outage.failed(&error),
                            Err(error) => refused.failed(&error),
                        }
                    } => {}
                }
            }
        }
        let last_report = async {
            self.report(&store, &schema, &mut reported).await?;
            // With an empty journal, nothing of this life can be lost any more.
            if self.journal.unacknowledged() == 0 {
                store.end_lives(std::slice::from_ref(self.journal.life()), SystemClock.now()).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Ok(Err(error)) = timeout(LAST_REPORT_DEADLINE, last_report).await {
            tracing::warn!(event = "gateway_life_not_reported", %error);
        }
    }

    /// Reports what was not reported yet.
    async fn report(&self, store: &Store, schema: &SchemaFit, reported: &mut Reported) -> Result<(), StoreError> {
        schema.check()?;
        let life = self.journal.life();
        if !reported.begun {
            store.begin_life(life, SystemClock.now()).await?;
            reported.begun = true;
        }
        self.report_handed_in(store, reported).await?;
        let (drained, none_left) = self.progress.look();
        if !drained.is_empty() {
            store.end_lives(&drained, SystemClock.now()).await?;
            self.progress.reported(&drained);
        }
        if none_left && !reported.none_left && self.journal.unrecovered() == Unrecovered::default() {
            store.no_journal_left(life, SystemClock.now()).await?;
            reported.none_left = true;
        }
        Ok(())
    }

    /// Reports the instant up to which usage is handed in, once all of it is acknowledged.
    async fn report_handed_in(&self, store: &Store, reported: &mut Reported) -> Result<(), StoreError> {
        // The instant comes first: what is appended between the two counts as awaited.
        let now = SystemClock.now();
        let (until, appended) = reported.awaited.get_or_insert_with(|| (now, self.journal.appended_by_lane()));
        if !self.journal.is_acknowledged(appended) {
            return Ok(());
        }
        let until = *until;
        if reported.handed_in.is_none_or(|last| until >= last.plus_seconds(HANDED_IN_EVERY_SECONDS)) {
            store.handed_in(self.journal.life(), until).await?;
            reported.handed_in = Some(until);
        }
        reported.awaited = None;
        Ok(())
    }
}
