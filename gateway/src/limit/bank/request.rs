//! A request to draw for one account, with the limit as it is now: how rates and concurrency share
//! the scheduler's queue.

use std::sync::Arc;

use common::limit::Rate;

use super::{
    account::Account,
    concurrency::ConcurrencyAccount,
    draw::{Draw, Grant},
};

/// A request to draw for one account.
#[derive(Clone)]
pub struct DrawRequest {
    subject: Subject,
    is_urgent: bool,
}

#[derive(Clone)]
enum Subject {
    Rate(Arc<Account>, Rate),
    Concurrency(Arc<ConcurrencyAccount>, u64),
}

impl DrawRequest {
    /// Asks for tokens of `account`, whose limit is `rate`.
    pub const fn rate(account: Arc<Account>, rate: Rate) -> Self {
        Self { subject: Subject::Rate(account, rate), is_urgent: false }
    }

    /// Asks for permits of `account`, which has `limit` of them.
    pub const fn concurrency(account: Arc<ConcurrencyAccount>, limit: u64) -> Self {
        Self { subject: Subject::Concurrency(account, limit), is_urgent: false }
    }

    /// The same, with a client request waiting for the answer.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.is_urgent = true;
        self
    }

    /// The same, without a client request waiting for the answer.
    pub(super) fn unhurried(mut self) -> Self {
        self.is_urgent = false;
        self
    }

    /// Returns true if a client request waits for the answer.
    pub const fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Name of the limit.
    pub fn name(&self) -> &str {
        match &self.subject {
            Subject::Rate(account, _) => account.name(),
            Subject::Concurrency(account, _) => account.name(),
        }
    }

    /// Shard of the bank that keeps the limit.
    pub fn shard(&self) -> usize {
        match &self.subject {
            Subject::Rate(account, _) => account.shard(),
            Subject::Concurrency(account, _) => account.shard(),
        }
    }

    /// The limit, if it is a rate.
    pub(super) const fn as_rate(&self) -> Option<Rate> {
        match &self.subject {
            Subject::Rate(_, rate) => Some(*rate),
            Subject::Concurrency(..) => None,
        }
    }

    /// Address of the account, which identifies it in this process.
    pub(super) fn address(&self) -> usize {
        match &self.subject {
            Subject::Rate(account, _) => Arc::as_ptr(account).addr(),
            Subject::Concurrency(account, _) => Arc::as_ptr(account).addr(),
        }
    }

    pub(super) fn draw(&self, now: u64, round_trip: u64, gateways: u64) -> Draw {
        match &self.subject {
            Subject::Rate(account, rate) => account.draw(rate, now, round_trip, gateways),
            Subject::Concurrency(account, limit) => account.draw(*limit, now, gateways),
        }
    }

    pub(super) fn granted(&self, draw: &Draw, grant: &Grant, sent: u64, now: u64, gateways: u64) -> Option<u64> {
        match &self.subject {
            Subject::Rate(account, rate) => account.granted(rate, draw, grant, sent, now, gateways),
            Subject::Concurrency(account, limit) => account.granted(*limit, draw, grant, sent, now),
        }
    }

    pub(super) fn noted(&self, draw: &Draw, sent: u64) {
        match &self.subject {
            Subject::Rate(account, _) => account.noted(draw, sent),
            Subject::Concurrency(account, _) => account.noted(draw, sent),
        }
    }

    pub(super) fn unanswered(&self) {
        match &self.subject {
            Subject::Rate(account, _) => account.unanswered(),
            Subject::Concurrency(account, _) => account.unanswered(),
        }
    }
}
