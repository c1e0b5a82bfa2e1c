//! What is left for the bank's client to do: an account that has something to say, with its limit as it is now.

use std::sync::Arc;

use super::{
    account::Account,
    draw::{Draw, Grant},
    slots::SlotAccount,
};
use crate::limit::rate::Rate;

/// An account that has something to say.
#[derive(Clone)]
pub struct Errand {
    subject: Subject,
    is_urgent: bool,
}

#[derive(Clone)]
enum Subject {
    Rate(Arc<Account>, Rate),
    Slots(Arc<SlotAccount>, u64),
}

impl Errand {
    /// An errand of `account`, whose limit is `rate`.
    pub const fn new(account: Arc<Account>, rate: Rate) -> Self {
        Self { subject: Subject::Rate(account, rate), is_urgent: false }
    }

    /// An errand of an account whose limit is so many requests under way.
    pub const fn of_slots(account: Arc<SlotAccount>, limit: u64) -> Self {
        Self { subject: Subject::Slots(account, limit), is_urgent: false }
    }

    /// A request waits for it.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.is_urgent = true;
        self
    }

    /// Nobody waits for it.
    pub(super) fn unhurried(mut self) -> Self {
        self.is_urgent = false;
        self
    }

    /// Returns true if a request waits for it.
    pub const fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// The name of the limit.
    pub fn name(&self) -> &str {
        match &self.subject {
            Subject::Rate(account, _) => account.name(),
            Subject::Slots(account, _) => account.name(),
        }
    }

    /// The part of the bank that it goes to.
    pub fn shard(&self) -> usize {
        match &self.subject {
            Subject::Rate(account, _) => account.shard(),
            Subject::Slots(account, _) => account.shard(),
        }
    }

    /// The limit, if it is one of requests in a stretch of time.
    pub(super) const fn rate(&self) -> Option<Rate> {
        match &self.subject {
            Subject::Rate(_, rate) => Some(*rate),
            Subject::Slots(..) => None,
        }
    }

    /// Tells accounts apart.
    pub(super) fn address(&self) -> usize {
        match &self.subject {
            Subject::Rate(account, _) => Arc::as_ptr(account).addr(),
            Subject::Slots(account, _) => Arc::as_ptr(account).addr(),
        }
    }

    pub(super) fn draw(&self, now: u64, round_trip: u64, gateways: u64) -> Draw {
        match &self.subject {
            Subject::Rate(account, rate) => account.draw(rate, now, round_trip, gateways),
            Subject::Slots(account, limit) => account.draw(*limit, now, gateways),
        }
    }

    pub(super) fn granted(&self, draw: &Draw, grant: &Grant, sent: u64, now: u64, gateways: u64) -> Option<u64> {
        match &self.subject {
            Subject::Rate(account, rate) => account.granted(rate, draw, grant, sent, now, gateways),
            Subject::Slots(account, limit) => account.granted(*limit, draw, grant, sent, now),
        }
    }

    pub(super) fn noted(&self, draw: &Draw, sent: u64) {
        match &self.subject {
            Subject::Rate(account, _) => account.noted(draw, sent),
            Subject::Slots(account, _) => account.noted(draw, sent),
        }
    }

    pub(super) fn unanswered(&self) {
        match &self.subject {
            Subject::Rate(account, _) => account.unanswered(),
            Subject::Slots(account, _) => account.unanswered(),
        }
    }
}
