//! Payment intents and payment methods, as Stripe writes them.

use common::{
    money::Currency,
    payment::{AttemptFailure, IntentState, SavedMethod},
};
use serde::Deserialize;

use super::amount::of_stripe;
use crate::payment::provider::Intent;

/// Reasons that the same card will give again.
///
/// Source: <https://docs.stripe.com/billing/revenue-recovery/smart-retries>, "Hard decline codes", and
/// codes that say that the card itself is at its end.
const FINAL: [&str; 12] = [
    "authentication_required",
    "card_not_supported",
    "expired_card",
    "highest_risk_level",
    "incorrect_number",
    "invalid_account",
    "lost_card",
    "pickup_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "transaction_not_allowed",
];

/// The members of a payment intent that are read.
#[derive(Debug, Deserialize)]
pub(super) struct IntentDocument {
    id: String,
    status: String,
    amount: i64,
    amount_received: Option<i64>,
    currency: String,
    next_action: Option<NextAction>,
    last_payment_error: Option<ErrorDocument>,
}

#[derive(Debug, Deserialize)]
struct NextAction {
    redirect_to_url: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    url: Option<String>,
}

/// The members of an error that are read.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorDocument {
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
}

/// The members of a payment method that are read.
#[derive(Debug, Deserialize)]
pub(super) struct MethodDocument {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    card: Option<CardDocument>,
    sepa_debit: Option<AccountDocument>,
}

#[derive(Debug, Deserialize)]
struct CardDocument {
    brand: Option<String>,
    last4: Option<String>,
}

#[derive(Debug, Deserialize)]
struct AccountDocument {
    last4: Option<String>,
}

/// The members of a setup intent that are read.
#[derive(Debug, Deserialize)]
pub(super) struct SetupDocument {
    customer: Option<String>,
    payment_method: Option<String>,
    status: String,
}

impl SetupDocument {
    /// The customer and the method that it has saved, once it has.
    pub(super) fn succeeded(self) -> Option<(String, String)> {
        self.customer.zip(self.payment_method).filter(|_| self.status == "succeeded")
    }
}

impl ErrorDocument {
    /// The most exact word for the reason.
    pub(super) fn code(&self) -> String {
        let code = self.decline_code.as_ref().or(self.code.as_ref());
        code.map_or_else(|| "unknown".to_owned(), Clone::clone)
    }

    pub(super) fn failure(&self) -> AttemptFailure {
        let code = self.code();
        let is_final = FINAL.contains(&code.as_str());
        AttemptFailure { code, is_final }
    }
}

impl IntentDocument {
    /// The intent; an error says what in it cannot be read.
    pub(super) fn intent(self) -> Result<Intent, String> {
        let failed = |code: &str, is_final| IntentState::Failed(AttemptFailure { code: code.to_owned(), is_final });
        let state = match self.status.as_str() {
            "requires_confirmation" => IntentState::Unconfirmed,
            "processing" | "requires_capture" => IntentState::Processing,
            "requires_action" => {
                let redirect = self.next_action.and_then(|action| action.redirect_to_url);
                IntentState::ActionRequired(redirect.and_then(|redirect| redirect.url))
            }
            "requires_payment_method" => match self.last_payment_error {
                Some(error) => IntentState::Failed(error.failure()),
                None => failed("payment_method_missing", true),
            },
            "canceled" => failed("canceled", false),
            "succeeded" => {
                let code = self.currency.to_uppercase();
                let currency = Currency::from_code(&code).ok_or_else(|| format!("currency {code} is unknown"))?;
                let amount = self.amount_received.filter(|received| *received > 0).unwrap_or(self.amount);
                let money = of_stripe(amount, currency).ok_or_else(|| format!("{amount} {code} is no amount"))?;
                IntentState::Succeeded(money)
            }
            other => return Err(format!("status {other} is unknown")),
        };
        Ok(Intent { id: self.id, state })
    }
}

impl MethodDocument {
    pub(super) fn saved(self) -> SavedMethod {
        let last = |last4: Option<String>| last4.unwrap_or_default();
        let label = match (self.card, self.sepa_debit) {
            (Some(card), _) => format!("{} {}", card.brand.unwrap_or(self.kind), last(card.last4)),
            (None, Some(account)) => format!("{} {}", self.kind, last(account.last4)),
            (None, None) => self.kind,
        };
        SavedMethod { id: self.id, label: label.trim().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use common::money::Money;

    use super::*;

    fn state(text: &str) -> IntentState {
        serde_json::from_str::<IntentDocument>(text).unwrap().intent().unwrap().state
    }

    fn intent(rest: &str) -> String {
        format!(r#"{{"id":"pi_1","amount":1000,"currency":"usd",{rest}}}"#)
    }

    #[test]
    fn every_status_that_stripe_documents_is_a_state() {
        let failed = |code: &str, is_final| IntentState::Failed(AttemptFailure { code: code.into(), is_final });
        for (rest, expected) in [
            (r#""status":"requires_confirmation""#, IntentState::Unconfirmed),
            (r#""status":"processing""#, IntentState::Processing),
            (r#""status":"requires_action""#, IntentState::ActionRequired(None)),
            (
                r#""status":"requires_action","next_action":{"redirect_to_url":{"url":"https://b"}}"#,
                IntentState::ActionRequired(Some("https://b".into())),
            ),
            (
                r#""status":"requires_payment_method","last_payment_error":{"code":"card_declined","decline_code":"lost_card"}"#,
                failed("lost_card", true),
            ),
            (
                r#""status":"requires_payment_method","last_payment_error":{"code":"card_declined","decline_code":"insufficient_funds"}"#,
                failed("insufficient_funds", false),
            ),
            (r#""status":"requires_payment_method""#, failed("payment_method_missing", true)),
            (r#""status":"canceled""#, failed("canceled", false)),
            (
                r#""status":"succeeded","amount_received":900"#,
                IntentState::Succeeded(Money::from_minor(900, Currency::USD)),
            ),
        ] {
            assert_eq!(state(&intent(rest)), expected, "{rest}");
        }
        let odd: IntentDocument = serde_json::from_str(&intent(r#""status":"odd""#)).unwrap();
        assert_eq!(odd.intent().unwrap_err(), "status odd is unknown");
    }

    #[test]
    fn method_is_labelled_by_what_its_owner_knows_of_it() {
        let label = |text: &str| serde_json::from_str::<MethodDocument>(text).unwrap().saved().label;
        assert_eq!(label(r#"{"id":"pm_1","type":"card","card":{"brand":"visa","last4":"4242"}}"#), "visa 4242");
        assert_eq!(label(r#"{"id":"pm_1","type":"sepa_debit","sepa_debit":{"last4":"3000"}}"#), "sepa_debit 3000");
        assert_eq!(label(r#"{"id":"pm_1","type":"link"}"#), "link");
    }
}
