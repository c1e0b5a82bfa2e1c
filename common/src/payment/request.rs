//! Requests to a payment provider, as messages of the [`crate::outbox`].
//!
//! Invariants: a request is written in the transaction of its cause; requests about one invoice are
//! made one after the other. It names the attempt or refund, whose row says how far that has come, so
//! that it does no harm to make it again.

use serde::{Deserialize, Serialize};

use crate::{
    id::{PaymentAttemptId, RefundAttemptId},
    invoice::Invoice,
    money::Money,
    outbox::{NewMessage, PAYMENT, enqueue},
    store::{StoreError, row::corrupt, transaction::ChangeTransaction},
    time::Micros,
};

/// The work that a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderRequest {
    /// Collect what an attempt says.
    Collect(PaymentAttemptId),
    /// Give back what a refund says.
    Refund(RefundAttemptId),
}

/// Has the outbox ask a provider about a locked invoice, from `at` on.
pub(super) async fn ask(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    provider: &str,
    (request, amount): (ProviderRequest, Money),
    at: Micros,
) -> Result<(), StoreError> {
    let verb = match request {
        ProviderRequest::Collect(_) => "collect",
        ProviderRequest::Refund(_) => "refund",
    };
    let target = format!("{provider}/{}", invoice.issuer);
    let message = NewMessage {
        kind: PAYMENT,
        tenant: invoice.tenant,
        lane: format!("{target}/{}", invoice.id),
        target,
        subject: format!("{verb} {amount} of {}", invoice.number),
        event: None,
        body: serde_json::to_value(request).map_err(|error| corrupt("request to a provider", error))?,
        due_at: Some(at),
        given_up: None,
    };
    let now = change.now();
    enqueue(change.connection(), &[message], now).await
}
