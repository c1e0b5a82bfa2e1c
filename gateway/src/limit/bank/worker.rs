//! The tasks between the gateway and the bank, one for each shard: they carry draws to Redis and
//! answers back.

use std::{sync::Arc, time::Duration};

use common::limit::Clock;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    call::Call,
    draw::Answer,
    error::BankError,
    handle::Bank,
    redis::{RedisConnection, RedisServers, Reply},
    restore::RestoreCall,
    scheduler::Scheduler,
};

/// All workers of a bank, before they run.
pub struct BankWorkers {
    bank: Arc<Bank>,
    schedulers: Vec<Scheduler>,
    servers: Arc<RedisServers>,
}

/// The worker of one shard.
struct Worker {
    shard: usize,
    bank: Arc<Bank>,
    scheduler: Scheduler,
    redis: RedisConnection,
    clock: Clock,
    /// Name of this process at the bank.
    gateway: Arc<str>,
    was_tried: bool,
}

impl BankWorkers {
    pub(super) fn new(bank: Arc<Bank>, schedulers: Vec<Scheduler>, servers: RedisServers) -> Self {
        Self { bank, schedulers, servers: Arc::new(servers) }
    }

    /// Serves until `shutdown` turns true. Tokens in hand then lapse at the bank within a second.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        // Random, and so never the name of another process or of an earlier start, which the bank
        // would take for this one.
        let gateway: Arc<str> = format!("{:032x}", rand::random::<u128>()).into();
        let mut workers = JoinSet::new();
        for (shard, scheduler) in self.schedulers.into_iter().enumerate() {
            let worker = Worker {
                shard,
                bank: Arc::clone(&self.bank),
                scheduler,
                redis: RedisConnection::new(Arc::clone(&self.servers), shard),
                clock: Clock::default(),
                gateway: Arc::clone(&gateway),
                was_tried: false,
            };
            workers.spawn(worker.run(shutdown.clone()));
        }
        while workers.join_next().await.is_some() {}
    }
}

impl Worker {
    async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let bank = Arc::clone(&self.bank);
        let shard = bank.shard(self.shard);
        loop {
            self.scheduler.queue(shard.take());
            let wait = self.scheduler.next_at().saturating_sub(self.clock.nanos());
            if *shutdown.borrow() {
                return self.sign_off().await;
            }
            if wait == 0 {
                self.call().await;
                continue;
            }
            tokio::select! {
                _ = shutdown.changed() => {}
                () = shard.wake.notified() => {}
                () = sleep(Duration::from_nanos(wait)) => {}
            }
        }
    }

    async fn call(&mut self) {
        if let Err(error) = self.redis.connect().await {
            self.scheduler.unreachable(self.clock.nanos());
            return self.failed(&error);
        }
        if let Some(call) = self.scheduler.restore_call(self.clock.nanos()) {
            return self.restore(call).await;
        }
        let Some(call) = self.scheduler.call(self.clock.nanos()) else {
            return;
        };
        let started = Instant::now();
        let reply = self.redis.draw(&call.keys(self.shard), &call.arguments(&self.gateway)).await;
        let now = self.clock.nanos();
        match reply.and_then(|reply| parsed(reply, &call)) {
            Ok(Some(answer)) => {
                let health = &self.bank.health;
                health.set_loss(self.shard, answer.loss);
                health.count_answer(&call, &answer, started.elapsed().as_secs_f64());
                self.scheduler.answered(call, &answer, now);
                if answer.is_open {
                    health.set_back(self.shard, !self.was_tried);
                    self.was_tried = true;
                } else {
                    // Not counted as tried: the bank opens in a moment.
                    health.set_away(self.shard, false, &BankError::AwaitsReports);
                }
            }
            Ok(None) => self.scheduler.late(call, now),
            Err(error) => {
                self.scheduler.unanswered(call, now);
                self.failed(&error);
            }
        }
    }

    /// Reports what this gateway knows to a bank that lost its data.
    async fn restore(&mut self, call: RestoreCall) {
        let reply = self.redis.restore(&call.keys(self.shard), &call.arguments(&self.gateway)).await;
        match reply {
            Ok(Reply::Numbers(numbers)) => self.scheduler.restore_answered(&call, numbers == [1]),
            Ok(Reply::Late) => self.scheduler.restore_late(call),
            Err(error) => {
                self.scheduler.restore_unanswered(call, self.clock.nanos());
                self.failed(&error);
            }
        }
    }

    /// Tells the bank not to wait for this gateway any more. If the call fails, the bank finds out
    /// by itself.
    async fn sign_off(&mut self) {
        if self.scheduler.gateways().is_none() {
            let call = self.scheduler.last_call(self.clock.nanos());
            let _ = self.redis.draw(&call.keys(self.shard), &call.arguments(&self.gateway)).await;
        }
    }

    fn failed(&mut self, error: &BankError) {
        self.bank.health.set_away(self.shard, !self.was_tried, error);
        self.was_tried = true;
    }
}

/// Parses the answer to `call`; none if the call came too late to count.
fn parsed(reply: Reply, call: &Call) -> Result<Option<Answer>, BankError> {
    match reply {
        Reply::Late => Ok(None),
        Reply::Numbers(numbers) => match Answer::parse(&numbers, call.draws().len()) {
            Some(answer) => Ok(Some(answer)),
            None => Err(BankError::Foreign(format!("the script returned {} numbers", numbers.len()))),
        },
    }
}
