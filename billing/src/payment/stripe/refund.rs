//! Refunds, as Stripe writes them.

use common::payment::RefundState;
use serde::Deserialize;

use super::client::Listed;
use crate::payment::provider::Refund;

/// The members of a refund that are read.
#[derive(Debug, Deserialize)]
pub(super) struct RefundDocument {
    id: String,
    status: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    tollgate_refund: Option<String>,
}

impl Listed for RefundDocument {
    fn id(&self) -> &str {
        &self.id
    }
}

impl RefundDocument {
    /// Returns true if it is the one of this attempt.
    pub(super) fn is_of(&self, attempt: &str) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.tollgate_refund.as_deref() == Some(attempt))
    }

    /// The refund; an error says what in it cannot be read.
    pub(super) fn refund(self) -> Result<Refund, String> {
        let state = match self.status.as_deref() {
            Some("succeeded") => RefundState::Succeeded,
            Some("pending" | "requires_action") => RefundState::Processing,
            Some(status @ ("failed" | "canceled")) => {
                RefundState::Failed(self.failure_reason.unwrap_or_else(|| status.to_owned()))
            }
            other => return Err(format!("status {other:?} is unknown")),
        };
        Ok(Refund { id: self.id, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_stripe_documents_is_a_state() {
        for (rest, expected) in [
            (r#""status":"succeeded""#, Ok(RefundState::Succeeded)),
            (r#""status":"pending""#, Ok(RefundState::Processing)),
            (r#""status":"requires_action""#, Ok(RefundState::Processing)),
            (r#""status":"canceled""#, Ok(RefundState::Failed("canceled".into()))),
            (
                r#""status":"failed","failure_reason":"expired_or_canceled_card""#,
                Ok(RefundState::Failed("expired_or_canceled_card".into())),
            ),
            (r#""status":null"#, Err("status None is unknown".to_owned())),
        ] {
            let document: RefundDocument = serde_json::from_str(&format!(r#"{{"id":"re_1",{rest}}}"#)).unwrap();
            assert_eq!(document.refund().map(|refund| refund.state), expected, "{rest}");
        }
    }
}
