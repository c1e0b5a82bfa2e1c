//! The outbox: messages that are to leave the system, as rows of the store.
//!
//! Invariants: a message is written in the transaction of its cause; one worker at a time sends it,
//! which holds its latest claim, and whose lease has not run out; messages of a lane are sent one
//! after the other, each once those before it were delivered or given up; a message stays until it
//! was delivered or given up, and what was given up can be replayed. A message may be sent more than
//! once, always with the same id: receivers tell repetitions by it.
//!
//! Changes of tenants, keys and plans go to Kafka out of the change log, which is written in
//! the same way and read in its own order ([`crate::change`]).

mod claim;
mod list;
mod replay;
mod rows;

use std::{fmt, str::FromStr};

pub(crate) use claim::shortened;
pub use claim::{ClaimedMessage, DueMessage, Sent};
pub use list::{MessageFilter, OutboxDepth};
pub use replay::Replay;
pub(crate) use rows::{NewMessage, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{EventId, MessageId, TenantId},
    time::Micros,
    word::UnknownWord,
};

/// Kind of the messages that go to webhook endpoints.
pub const WEBHOOK: &str = "webhook";

/// Kind of the messages that are mail.
pub const MAIL: &str = "mail";

/// Kind of the messages that ask a payment provider to do something.
pub const PAYMENT: &str = "payment";

/// A message to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same for every try.
    pub id: MessageId,
    /// The kind of message, by which its deliverer is found.
    pub kind: String,
    /// The tenant that it is sent for.
    pub tenant: TenantId,
    /// Messages of a lane are sent one after the other.
    pub lane: String,
    /// The receiver: the id of an endpoint, an address of mail.
    pub target: String,
    /// Its subject, in words.
    pub subject: String,
    /// The event that it tells of.
    pub event: Option<EventId>,
    /// Data for its deliverer.
    pub body: Value,
    /// Its state.
    pub state: MessageState,
    /// Time at which it was written.
    pub created_at: Micros,
    /// Time of the next try.
    pub due_at: Micros,
    /// Tries so far.
    pub attempt: i64,
    /// Time of the first try.
    pub first_at: Option<Micros>,
    /// Time at which it was delivered or given up.
    pub ended_at: Option<Micros>,
    /// The receiver's answer, or the error of the latest try.
    pub result: Option<String>,
}

/// State of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// It waits for its turn, or for the next try.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It is not sent, unless somebody replays it.
    GivenUp,
}

impl MessageState {
    /// The word in the store, in documents and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for MessageState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "pending" => Ok(Self::Pending),
            "delivered" => Ok(Self::Delivered),
            "given_up" => Ok(Self::GivenUp),
            _ => Err(UnknownWord::new("state of a message", "pending, delivered, given_up", word)),
        }
    }
}
