//! The bank as the request path sees it: whether it answers, and a queue for requests to draw.

use std::{
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use common::limit::whole_nanos;
use tokio::sync::Notify;

use super::{
    BankSettings, SHARDS,
    error::BankError,
    health::{BankReport, Health},
    redis::RedisServers,
    request::DrawRequest,
    scheduler::{self, Scheduler, SchedulerSettings},
    worker::BankWorkers,
};
use crate::lock::locked;

/// A bank that several gateways share.
pub struct Bank {
    shards: Box<[Shard]>,
    max_wait: Duration,
    pub(super) health: Health,
}

/// State shared by a shard's worker and the request path.
pub(super) struct Shard {
    /// See [`Scheduler::gateways`].
    away: Arc<AtomicU64>,
    requests: Mutex<Vec<DrawRequest>>,
    /// Notified when the worker has something to do.
    pub(super) wake: Notify,
}

impl Bank {
    /// Opens a bank. It counts as away until [`BankWorkers::run`] has reached it. `is_fresh` says
    /// that no bank was kept before, so that every bucket starts full.
    pub fn open(settings: &BankSettings, is_fresh: bool) -> Result<(Arc<Self>, BankWorkers), BankError> {
        let servers = RedisServers::new(&settings.address, settings.timeout)?;
        let scheduler = SchedulerSettings { gateways: settings.gateways, tick: whole_nanos(settings.tick), is_fresh };
        let schedulers: Vec<Scheduler> = (0..SHARDS).map(|_| Scheduler::new(scheduler)).collect();
        let bank = Arc::new(Self {
            shards: schedulers.iter().map(|scheduler| Shard::new(scheduler.away())).collect(),
            max_wait: settings.timeout + settings.tick,
            health: Health::new(),
        });
        let workers = BankWorkers::new(Arc::clone(&bank), schedulers, servers);
        Ok((bank, workers))
    }

    /// Number of gateways that share each limit of a shard while the bank is away, none while it
    /// answers.
    pub(in crate::limit) fn gateways_while_away(&self, shard: usize) -> Option<u64> {
        scheduler::gateways(&self.shards[shard].away)
    }

    /// Longest time that a request may wait for an answer.
    pub(in crate::limit) const fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// Queues a request to draw. Only the caller that got `true` from the account's `needs_draw`
    /// may do so.
    pub(in crate::limit) fn enqueue(&self, request: DrawRequest) {
        let shard = &self.shards[request.shard()];
        let is_urgent = request.is_urgent();
        let mut requests = locked(&shard.requests);
        let was_empty = requests.is_empty();
        requests.push(request);
        drop(requests);
        if was_empty || is_urgent {
            shard.wake.notify_one();
        }
    }

    /// Counts a client request that waits for an answer.
    pub(in crate::limit) fn count_wait(&self) {
        self.health.count_wait();
    }

    /// Waits until every shard has answered or failed to.
    pub async fn tried(&self) {
        self.health.tried().await;
    }

    /// State of the bank, for operators.
    pub fn report(&self) -> BankReport {
        self.health.report()
    }

    pub(super) fn shard(&self, shard: usize) -> &Shard {
        &self.shards[shard]
    }
}

impl Shard {
    fn new(away: Arc<AtomicU64>) -> Self {
        Self { away, requests: Mutex::default(), wake: Notify::new() }
    }

    /// Takes all queued requests.
    pub(super) fn take(&self) -> Vec<DrawRequest> {
        std::mem::take(&mut *locked(&self.requests))
    }
}
