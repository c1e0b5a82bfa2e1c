//! The worker: writes the messages of events, claims messages that are due, and has them sent.
//!
//! Any number of processes may work: the store gives each message to one of them. Times come from the
//! clock; only how often is looked follows the machine.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    outbox::{ClaimedMessage, DueMessage, Sent},
    store::{Store, StoreError},
    time::Clock,
};
use prometheus::Registry;
use tokio::task::JoinSet;

use super::{Deliverer, LEASE_SECONDS, OutboxMetrics, Outcome, TRY_TIME_LIMIT};

/// Interval between looks while nothing is due.
const POLL: Duration = Duration::from_millis(500);

/// Interval between looks at how much waits.
const DEPTH_INTERVAL: Duration = Duration::from_secs(5);

/// Most messages that one process sends at once.
const AT_ONCE: usize = 16;

/// Events whose messages are written in one transaction.
const EVENTS_AT_ONCE: u32 = 200;

/// The deliverers of a process.
pub(super) type Deliverers = Arc<Vec<Box<dyn Deliverer>>>;

/// Sends messages.
pub struct OutboxWorker {
    sender: Sender,
    metrics: OutboxMetrics,
    told: Option<&'static str>,
}

/// Inputs of a try.
#[derive(Clone)]
struct Sender {
    store: Store,
    clock: Arc<dyn Clock>,
    deliverers: Deliverers,
    name: String,
}

impl OutboxWorker {
    /// A worker with these deliverers, with metrics that `registry` collects. `name` tells it from
    /// other workers.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        deliverers: Deliverers,
        name: String,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let kinds: Vec<_> = deliverers.iter().map(|deliverer| deliverer.kind()).collect();
        let metrics = OutboxMetrics::register(registry, &kinds)?;
        Ok(Self { sender: Sender { store, clock, deliverers, name }, metrics, told: None })
    }

    /// Works for ever. What is on its way when it is dropped is sent again, with the same id.
    pub async fn work(mut self) {
        let mut under_way: JoinSet<(String, &'static str)> = JoinSet::new();
        let mut targets: HashMap<tokio::task::Id, (String, usize)> = HashMap::new();
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= DEPTH_INTERVAL) {
                self.look().await;
                looked = Some(Instant::now());
            }
            let began = self.begin_due(&mut under_way, &mut targets).await;
            match began {
                Ok(()) => self.tell(None),
                Err(error) => self.tell(Some(&error)),
            }
            let wait = tokio::time::sleep(POLL);
            tokio::select! {
                Some(ended) = under_way.join_next_with_id(), if !under_way.is_empty() => self.ended(ended, &mut targets),
                () = wait => {}
            }
            while let Some(ended) = under_way.try_join_next_with_id() {
                self.ended(ended, &mut targets);
            }
        }
    }

    fn ended(
        &self,
        ended: Result<(tokio::task::Id, (String, &'static str)), tokio::task::JoinError>,
        targets: &mut HashMap<tokio::task::Id, (String, usize)>,
    ) {
        match ended {
            Ok((id, (kind, outcome))) => {
                targets.remove(&id);
                self.metrics.tried(&kind, outcome);
            }
            Err(error) => {
                targets.remove(&error.id());
                tracing::error!(event = "outbox_try_ended", %error);
            }
        }
    }

    /// Writes the messages of events, and begins to send what is due, as far as there is room.
    async fn begin_due(
        &self,
        under_way: &mut JoinSet<(String, &'static str)>,
        targets: &mut HashMap<tokio::task::Id, (String, usize)>,
    ) -> Result<(), StoreError> {
        self.sender.tell_events().await?;
        if under_way.len() >= AT_ONCE {
            return Ok(());
        }
        for due in self.sender.due(&busy(targets)).await? {
            if under_way.len() >= AT_ONCE {
                break;
            }
            // What was begun since may have made the receiver busy.
            if busy(targets).contains(&due.target) {
                continue;
            }
            let Some(claimed) = self.sender.claim_due(&due).await? else { continue };
            let at_once = self.sender.deliverer(&claimed).map_or(1, Deliverer::at_once);
            let (target, sender) = (claimed.message.target.clone(), self.sender.clone());
            let handle = under_way.spawn(async move {
                let outcome = sender.send(&claimed).await;
                (claimed.message.kind, outcome)
            });
            targets.insert(handle.id(), (target, at_once));
        }
        Ok(())
    }

    async fn look(&mut self) {
        match self.sender.store.outbox_depth().await {
            Ok(depths) => self.metrics.show(&depths, self.sender.clock.now()),
            Err(error) => self.tell(Some(&error)),
        }
    }

    /// Tells an outage once as it begins and once as it ends.
    fn tell(&mut self, error: Option<&StoreError>) {
        match (error, self.told) {
            (Some(error), None) => {
                tracing::warn!(event = "outbox_stopped", %error);
                self.told = Some("outbox_stopped");
            }
            (None, Some(_)) => {
                tracing::info!(event = "outbox_goes_on");
                self.told = None;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Targets that no more is sent to at the moment.
fn busy(targets: &HashMap<tokio::task::Id, (String, usize)>) -> Vec<String> {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for (target, at_once) in targets.values() {
        let count = counts.entry(target).or_insert((0, *at_once));
        count.0 += 1;
    }
    counts.into_iter().filter(|(_, (count, most))| count >= most).map(|(target, _)| target.to_owned()).collect()
}

impl Sender {
    async fn tell_events(&self) -> Result<(), StoreError> {
        let mail = self.deliverers.iter().any(|deliverer| deliverer.kind() == common::outbox::MAIL);
        while self.store.tell_events(EVENTS_AT_ONCE, mail, self.clock.now()).await? > 0 {}
        Ok(())
    }

    async fn due(&self, busy: &[String]) -> Result<Vec<DueMessage>, StoreError> {
        let kinds: Vec<_> = self.deliverers.iter().map(|deliverer| deliverer.kind()).collect();
        self.store.due_messages(&kinds, busy, self.clock.now()).await
    }

    async fn claim_due(&self, due: &DueMessage) -> Result<Option<ClaimedMessage>, StoreError> {
        self.store.claim_due_message(due, &self.name, LEASE_SECONDS, self.clock.now()).await
    }

    async fn claim(&self, busy: &[String]) -> Result<Option<ClaimedMessage>, StoreError> {
        let kinds: Vec<_> = self.deliverers.iter().map(|deliverer| deliverer.kind()).collect();
        self.store.claim_message(&self.name, &kinds, busy, LEASE_SECONDS, self.clock.now()).await
    }

    fn deliverer(&self, claimed: &ClaimedMessage) -> Option<&dyn Deliverer> {
        self.deliverers.iter().find(|one| one.kind() == claimed.message.kind).map(AsRef::as_ref)
    }

    /// Sends a message and writes what came of it; the outcome in a word.
    async fn send(&self, claimed: &ClaimedMessage) -> &'static str {
        let Some(deliverer) = self.deliverer(claimed) else { return "lost" };
        let message = &claimed.message;
        let outcome = match lost_tries(message.attempt, deliverer.waits()) {
            Some(refused) => refused,
            None => tokio::time::timeout(TRY_TIME_LIMIT, deliverer.deliver(message, self.clock.now()))
                .await
                .unwrap_or_else(|_| Outcome::Failed(format!("no answer within {} s", TRY_TIME_LIMIT.as_secs()))),
        };
        let sent = outcome.after(message.attempt, deliverer.waits());
        let now = self.clock.now();
        match self.store.end_message(claimed, &sent, now).await {
            Ok(true) => {
                log(claimed, &sent);
                if let Sent::GivenUp(error) = &sent {
                    deliverer.given_up(message, error, now).await;
                }
                word(&sent)
            }
            Ok(false) => "lost",
            Err(error) => {
                tracing::warn!(event = "message_end_not_written", message = %message.id, %error);
                "lost"
            }
        }
    }
}

/// Gives up a message whose tries were cut off, one after the other: it may be what ends the process.
fn lost_tries(attempt: i64, waits: &[i64]) -> Option<Outcome> {
    let before = attempt - 1;
    let is_last = usize::try_from(before).is_ok_and(|before| before > waits.len());
    is_last.then(|| Outcome::Refused(format!("given up: {before} tries began, and the last was cut off")))
}

const fn word(sent: &Sent) -> &'static str {
    match sent {
        Sent::Delivered(_) => "delivered",
        Sent::Later(..) => "later",
        Sent::GivenUp(_) => "given_up",
    }
}

fn log(claimed: &ClaimedMessage, sent: &Sent) {
    let message = &claimed.message;
    let (id, kind, target, attempt) = (message.id, &message.kind, &message.target, message.attempt);
    match sent {
        Sent::Delivered(answer) => {
            tracing::debug!(event = "message_delivered", message = %id, kind, target, attempt, answer);
        }
        Sent::Later(error, seconds) => {
            tracing::info!(event = "message_delayed", message = %id, kind, target, attempt, retry_in_s = seconds, error);
        }
        Sent::GivenUp(error) => {
            tracing::warn!(event = "message_given_up", message = %id, kind, target, attempt, error);
        }
    }
}

/// Sends all that is due now, one after another, and gives how many tries there were and how many of
/// them did not deliver.
pub async fn deliver_due(
    store: &Store,
    clock: &Arc<dyn Clock>,
    deliverers: Deliverers,
    worker: &str,
) -> Result<(u32, u32), StoreError> {
    let sender = Sender { store: store.clone(), clock: Arc::clone(clock), deliverers, name: worker.to_owned() };
    let (mut tries, mut failed) = (0, 0);
    loop {
        sender.tell_events().await?;
        let Some(claimed) = sender.claim(&[]).await? else { return Ok((tries, failed)) };
        tries += 1;
        failed += u32::from(sender.send(&claimed).await != "delivered");
    }
}
