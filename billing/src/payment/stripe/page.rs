//! Pages of Stripe (Checkout sessions), as Stripe writes them.

use serde::Deserialize;

use crate::payment::provider::{PageState, PaymentPage};

/// Time for which a page on which somebody pays is open: an hour. Stripe takes 30 minutes to 24 hours.
pub(super) const OPEN_SECONDS: i64 = 3_600;

/// The members of a Checkout session that are read.
#[derive(Debug, Deserialize)]
pub(super) struct SessionDocument {
    id: String,
    url: Option<String>,
    status: Option<String>,
    payment_intent: Option<String>,
}

impl SessionDocument {
    /// The page; an error says what in it cannot be read.
    pub(super) fn page(self) -> Result<PaymentPage, String> {
        let url = self.url.ok_or("the page has no address")?;
        Ok(PaymentPage { id: self.id, url })
    }

    /// The state of the page; an error says what in it cannot be read.
    pub(super) fn state(self) -> Result<PageState, String> {
        match (self.status.as_deref(), self.payment_intent) {
            (Some("open"), _) => Ok(PageState::Open),
            (Some("expired"), _) => Ok(PageState::Closed),
            (Some("complete"), Some(intent)) => Ok(PageState::Complete(intent)),
            (Some("complete"), None) => Err("a page was paid without an intent".into()),
            (other, _) => Err(format!("status {other:?} of a page is unknown")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_stripe_documents_is_a_state() {
        let state = |rest: &str| {
            serde_json::from_str::<SessionDocument>(&format!(r#"{{"id":"cs_1",{rest}}}"#)).unwrap().state()
        };
        assert_eq!(state(r#""status":"open","payment_intent":"pi_1""#), Ok(PageState::Open));
        assert_eq!(state(r#""status":"expired""#), Ok(PageState::Closed));
        assert_eq!(state(r#""status":"complete","payment_intent":"pi_1""#), Ok(PageState::Complete("pi_1".into())));
        assert_eq!(state(r#""status":"complete""#).unwrap_err(), "a page was paid without an intent");
        assert_eq!(state(r#""status":"odd""#).unwrap_err(), "status Some(\"odd\") of a page is unknown");
    }
}
