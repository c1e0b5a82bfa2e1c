//! Messages of the outbox.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::{EventId, MessageId, TenantId},
    outbox::{Message, MessageState},
};

/// A message to one receiver.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageDocument {
    /// Its id, the same for every try.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// `webhook` or `mail`.
    #[schema(example = "webhook")]
    pub kind: String,
    /// The tenant that it is sent for.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The receiver: the id of an endpoint, or an address.
    pub target: String,
    /// Its subject.
    #[schema(example = "invoice.finalized inv_01jd0000000000000000000042")]
    pub subject: String,
    /// The event that it tells of. Webhooks carry this id, whatever the try.
    #[schema(required = true, value_type = Option<String>)]
    pub event: Option<EventId>,
    /// Its state.
    pub state: MessageState,
    /// Tries so far.
    pub attempt: i64,
    /// Time at which it was written.
    pub created_at: Instant,
    /// Time of the next try, while it waits.
    #[schema(required = true)]
    pub due_at: Option<Instant>,
    /// Time at which it was delivered or given up.
    #[schema(required = true)]
    pub ended_at: Option<Instant>,
    /// The receiver's answer, or the error of the latest try.
    #[schema(required = true)]
    pub result: Option<String>,
}

impl From<Message> for MessageDocument {
    fn from(message: Message) -> Self {
        let waits = message.state == MessageState::Pending;
        Self {
            id: message.id,
            kind: message.kind,
            tenant: message.tenant,
            target: message.target,
            subject: message.subject,
            event: message.event,
            state: message.state,
            attempt: message.attempt,
            created_at: message.created_at.into(),
            due_at: waits.then(|| message.due_at.into()),
            ended_at: message.ended_at.map(Into::into),
            result: message.result,
        }
    }
}
