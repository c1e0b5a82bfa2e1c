//! The tasks between the gateway and the bank, one for each shard: they carry errands to Redis and answers back.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Answer, Bank, BankError,
    link::{Directory, Link, Reply},
    memory::Tell,
    teller::{Call, Teller},
};
use crate::limit::Clock;

/// All tasks of a bank, before they run.
pub struct BankClient {
    bank: Arc<Bank>,
    tellers: Vec<Teller>,
    directory: Arc<Directory>,
}

/// The task of one shard.
struct Clerk {
    shard: usize,
    bank: Arc<Bank>,
    teller: Teller,
    link: Link,
    clock: Clock,
    /// What the bank knows this process by.
    gateway: Arc<str>,
    was_tried: bool,
}

impl BankClient {
    pub(super) fn new(bank: Arc<Bank>, tellers: Vec<Teller>, directory: Directory) -> Self {
        Self { bank, tellers, directory: Arc::new(directory) }
    }

    /// Serves until `shutdown` turns true. Tokens in hand lapse at the bank within a second.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        // Never that of another process or an earlier start: the bank would take one for the other.
        let gateway: Arc<str> = format!("{:032x}", rand::random::<u128>()).into();
        let mut clerks = JoinSet::new();
        for (shard, teller) in self.tellers.into_iter().enumerate() {
            let clerk = Clerk {
                shard,
                bank: Arc::clone(&self.bank),
                teller,
                link: Link::new(Arc::clone(&self.directory), shard),
                clock: Clock::default(),
                gateway: Arc::clone(&gateway),
                was_tried: false,
            };
            clerks.spawn(clerk.run(shutdown.clone()));
        }
        while clerks.join_next().await.is_some() {}
    }
}

impl Clerk {
    async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let bank = Arc::clone(&self.bank);
        let shard = bank.shard(self.shard);
        loop {
            self.teller.queue(shard.take());
            let wait = self.teller.next_at().saturating_sub(self.clock.nanos());
            if *shutdown.borrow() {
                return self.leave().await;
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
        if let Err(error) = self.link.connect().await {
            self.teller.unreachable(self.clock.nanos());
            return self.failed(&error);
        }
        if let Some(tell) = self.teller.tell(self.clock.nanos()) {
            return self.tell(tell).await;
        }
        let Some(call) = self.teller.call(self.clock.nanos()) else {
            return;
        };
        let started = Instant::now();
        let reply = self.link.call(&call.keys(self.shard), &call.arguments(&self.gateway)).await;
        let now = self.clock.nanos();
        match reply.and_then(|reply| understood(reply, &call)) {
            Ok(Some(answer)) => {
                self.bank.lost(self.shard, answer.loss);
                self.bank.answered(&call, &answer, started.elapsed().as_secs_f64());
                self.teller.answered(call, &answer, now);
                if answer.is_open {
                    self.bank.is_back(self.shard, !self.was_tried);
                    self.was_tried = true;
                } else {
                    // That is no attempt yet: it will be open in a moment.
                    self.bank.is_away(self.shard, false, &BankError::Settling);
                }
            }
            Ok(None) => self.teller.late(call, now),
            Err(error) => {
                self.teller.unanswered(call, now);
                self.failed(&error);
            }
        }
    }

    /// Tells the bank what it has asked for after a loss of data.
    async fn tell(&mut self, tell: Tell) {
        let reply = self.link.tell(&tell.keys(self.shard), &tell.arguments(&self.gateway)).await;
        match reply {
            Ok(Reply::Numbers(numbers)) => self.teller.told(&tell, numbers == [1]),
            Ok(Reply::Late) => self.teller.told_late(tell),
            Err(error) => {
                self.teller.untold(tell, self.clock.nanos());
                self.failed(&error);
            }
        }
    }

    /// Says good-bye, so that nobody waits for this gateway; if that fails, they will find out.
    async fn leave(&mut self) {
        if self.teller.gateways().is_none() {
            let call = self.teller.farewell(self.clock.nanos());
            let _ = self.link.call(&call.keys(self.shard), &call.arguments(&self.gateway)).await;
        }
    }

    fn failed(&mut self, error: &BankError) {
        self.bank.is_away(self.shard, !self.was_tried, error);
        self.was_tried = true;
    }
}

/// The answer to `call`; none if it came too late to count.
fn understood(reply: Reply, call: &Call) -> Result<Option<Answer>, BankError> {
    match reply {
        Reply::Late => Ok(None),
        Reply::Numbers(numbers) => match Answer::parse(&numbers, call.draws().len()) {
            Some(answer) => Ok(Some(answer)),
            None => Err(BankError::Foreign(format!("the script returned {} numbers", numbers.len()))),
        },
    }
}
