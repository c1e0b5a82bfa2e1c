//! Disputes, as Stripe writes them.

use common::{
    money::{Currency, Money},
    payment::{DisputeMovement, DisputeStatus, ToldDispute},
    time::Micros,
};
use serde::Deserialize;

use super::{amount::of_stripe, client::Listed};

/// The members of a dispute that are read.
#[derive(Debug, Deserialize)]
pub(super) struct DisputeDocument {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    reason: String,
    payment_intent: Option<String>,
    created: i64,
    #[serde(default)]
    balance_transactions: Vec<MovementDocument>,
    evidence_details: Option<EvidenceDocument>,
}

#[derive(Debug, Deserialize)]
struct EvidenceDocument {
    due_by: Option<i64>,
}

/// Money that Stripe moves because of a dispute.
#[derive(Debug, Deserialize)]
struct MovementDocument {
    id: String,
    amount: i64,
    fee: i64,
    currency: String,
}

impl Listed for DisputeDocument {
    fn id(&self) -> &str {
        &self.id
    }
}

impl DisputeDocument {
    /// The dispute; none if it is about no intent, and so about nothing that was charged from here. An
    /// error says what in it cannot be read.
    pub(super) fn told(self) -> Result<Option<ToldDispute>, String> {
        let Some(intent) = self.payment_intent else { return Ok(None) };
        let status = match self.status.as_str() {
            "warning_needs_response" | "warning_under_review" => DisputeStatus::Inquiry,
            "needs_response" | "under_review" => DisputeStatus::Open,
            "won" | "warning_closed" | "prevented" => DisputeStatus::Won,
            "lost" => DisputeStatus::Lost,
            other => return Err(format!("status {other} of a dispute is unknown")),
        };
        let movement = |movement: MovementDocument| {
            let amount = money(movement.amount, &movement.currency)?;
            Ok(DisputeMovement { id: movement.id, amount, fee: money(movement.fee, &movement.currency)? })
        };
        let movements: Result<Vec<_>, String> = self.balance_transactions.into_iter().map(movement).collect();
        Ok(Some(ToldDispute {
            amount: money(self.amount, &self.currency)?,
            id: self.id,
            intent,
            status,
            reason: self.reason,
            evidence_due_at: self.evidence_details.and_then(|details| details.due_by).map(Micros::from_seconds),
            opened_at: Micros::from_seconds(self.created),
            movements: movements?,
        }))
    }
}

/// The money that an amount of Stripe is; an error says why it is none.
pub(super) fn money(amount: i64, currency: &str) -> Result<Money, String> {
    let code = currency.to_uppercase();
    let currency = Currency::from_code(&code).ok_or_else(|| format!("currency {code} is unknown"))?;
    of_stripe(amount, currency).ok_or_else(|| format!("{amount} {code} is no amount"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rest: &str) -> Result<Option<ToldDispute>, String> {
        let text = format!(
            r#"{{"id":"dp_1","amount":1000,"currency":"usd","reason":"fraudulent","created":5,"payment_intent":"pi_1",{rest}}}"#
        );
        serde_json::from_str::<DisputeDocument>(&text).unwrap().told()
    }

    #[test]
    fn every_status_that_stripe_documents_is_a_status() {
        for (word, status) in [
            ("warning_needs_response", DisputeStatus::Inquiry),
            ("warning_under_review", DisputeStatus::Inquiry),
            ("warning_closed", DisputeStatus::Won),
            ("needs_response", DisputeStatus::Open),
            ("under_review", DisputeStatus::Open),
            ("won", DisputeStatus::Won),
            ("prevented", DisputeStatus::Won),
            ("lost", DisputeStatus::Lost),
        ] {
            assert_eq!(told(&format!(r#""status":"{word}""#)).unwrap().unwrap().status, status, "{word}");
        }
        assert_eq!(told(r#""status":"odd""#).unwrap_err(), "status odd of a dispute is unknown");
    }

    #[test]
    fn movements_have_their_amount_and_their_fee() {
        let movement = r#"{"id":"txn_1","amount":-1000,"fee":1500,"net":-2500,"currency":"usd"}"#;
        let dispute = told(&format!(
            r#""status":"needs_response","evidence_details":{{"due_by":9}},"balance_transactions":[{movement}]"#
        ));
        let dispute = dispute.unwrap().unwrap();
        let usd = |minor| Money::from_minor(minor, Currency::USD);
        assert_eq!((dispute.evidence_due_at, dispute.opened_at), (Some(Micros(9_000_000)), Micros(5_000_000)));
        assert_eq!(dispute.movements, [DisputeMovement { id: "txn_1".into(), amount: usd(-1_000), fee: usd(1_500) }]);
    }
}
