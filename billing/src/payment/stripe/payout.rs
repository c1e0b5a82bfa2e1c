//! Payouts and what they consist of, as Stripe writes them.

use common::{
    payment::{PayoutItemKind, PayoutStatus, ToldPayout, ToldPayoutItem},
    time::Micros,
};
use serde::Deserialize;

use super::{client::Listed, dispute::money};

/// The members of a payout that are read.
#[derive(Debug, Deserialize)]
pub(super) struct PayoutDocument {
    pub(super) id: String,
    amount: i64,
    currency: String,
    status: String,
    arrival_date: i64,
    created: i64,
    #[serde(default)]
    automatic: bool,
    reconciliation_status: Option<String>,
}

/// The members of a movement of Stripe's balance that are read.
#[derive(Debug, Deserialize)]
pub(super) struct BalanceTransactionDocument {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    amount: i64,
    fee: i64,
    currency: String,
    source: Option<Source>,
}

/// The thing that a movement stands for: whole, or its id.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    Id(String),
    Thing { id: String, object: String, payment_intent: Option<String> },
}

impl Listed for PayoutDocument {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for BalanceTransactionDocument {
    fn id(&self) -> &str {
        &self.id
    }
}

impl PayoutDocument {
    /// Returns true if Stripe tells what it consists of: it does of those that it makes by itself.
    pub(super) fn has_items(&self) -> bool {
        self.automatic && self.reconciliation_status.as_deref() == Some("completed")
    }

    /// The payout; an error says what in it cannot be read. One that somebody has made by hand has no
    /// items.
    pub(super) fn told(self, items: Option<Vec<BalanceTransactionDocument>>) -> Result<ToldPayout, String> {
        let status = match self.status.as_str() {
            "pending" | "in_transit" => PayoutStatus::InTransit,
            "paid" => PayoutStatus::Paid,
            "failed" | "canceled" => PayoutStatus::Failed,
            other => return Err(format!("status {other} of a payout is unknown")),
        };
        let items = if self.automatic { items } else { Some(Vec::new()) };
        // The payout itself is among the movements of the balance.
        let of_payout = |items: Vec<BalanceTransactionDocument>| {
            items.into_iter().filter(|item| item.kind != "payout").map(BalanceTransactionDocument::told).collect()
        };
        let items: Option<Result<Vec<_>, String>> = items.map(of_payout);
        Ok(ToldPayout {
            amount: money(self.amount, &self.currency)?,
            id: self.id,
            status,
            arrives_at: Micros::from_seconds(self.arrival_date),
            created_at: Micros::from_seconds(self.created),
            items: items.transpose()?,
        })
    }
}

impl BalanceTransactionDocument {
    fn told(self) -> Result<ToldPayoutItem, String> {
        let is_dispute = match &self.source {
            Some(Source::Thing { object, .. }) => object == "dispute",
            Some(Source::Id(id)) => id.starts_with("dp_") || id.starts_with("du_"),
            None => false,
        };
        let kind = match self.kind.as_str() {
            "adjustment" if is_dispute => PayoutItemKind::Dispute,
            "charge" | "payment" => PayoutItemKind::Payment,
            "refund" | "payment_refund" => PayoutItemKind::Refund,
            "stripe_fee" | "stripe_fx_fee" | "tax_fee" => PayoutItemKind::Fee,
            "payout_failure" | "payout_cancel" => PayoutItemKind::Payout,
            _ => PayoutItemKind::Other,
        };
        let source = self.source.map(|source| match source {
            // Payments are known here by their intents.
            Source::Thing { payment_intent: Some(intent), .. } if kind == PayoutItemKind::Payment => intent,
            Source::Thing { id, .. } | Source::Id(id) => id,
        });
        Ok(ToldPayoutItem {
            amount: money(self.amount, &self.currency)?,
            fee: money(self.fee, &self.currency)?,
            id: self.id,
            kind,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> (PayoutItemKind, Option<String>) {
        let text = format!(r#"{{"id":"txn_1","amount":100,"fee":3,"currency":"usd",{text}}}"#);
        let told = serde_json::from_str::<BalanceTransactionDocument>(&text).unwrap().told().unwrap();
        (told.kind, told.source)
    }

    #[test]
    fn movement_stands_for_what_it_names() {
        for (text, kind, source) in [
            (
                r#""type":"charge","source":{"id":"ch_1","object":"charge","payment_intent":"pi_1"}"#,
                PayoutItemKind::Payment,
                Some("pi_1"),
            ),
            (r#""type":"charge","source":"ch_1""#, PayoutItemKind::Payment, Some("ch_1")),
            (
                r#""type":"refund","source":{"id":"re_1","object":"refund","payment_intent":"pi_1"}"#,
                PayoutItemKind::Refund,
                Some("re_1"),
            ),
            (r#""type":"adjustment","source":"dp_1""#, PayoutItemKind::Dispute, Some("dp_1")),
            (
                r#""type":"adjustment","source":{"id":"du_1","object":"dispute","payment_intent":"pi_1"}"#,
                PayoutItemKind::Dispute,
                Some("du_1"),
            ),
            (r#""type":"adjustment","source":null"#, PayoutItemKind::Other, None),
            (r#""type":"stripe_fee","source":null"#, PayoutItemKind::Fee, None),
            (r#""type":"payout_failure","source":"po_1""#, PayoutItemKind::Payout, Some("po_1")),
        ] {
            assert_eq!(item(text), (kind, source.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn payout_has_items_once_stripe_knows_them_and_one_by_hand_has_none() {
        let payout = |rest: &str| {
            let text = format!(
                r#"{{"id":"po_1","amount":97,"currency":"usd","status":"paid","arrival_date":9,"created":5,{rest}}}"#
            );
            serde_json::from_str::<PayoutDocument>(&text).unwrap()
        };
        assert!(payout(r#""automatic":true,"reconciliation_status":"completed""#).has_items());
        let waits = payout(r#""automatic":true,"reconciliation_status":"in_progress""#);
        assert!(!waits.has_items());
        assert_eq!(waits.told(None).unwrap().items, None);
        let by_hand = payout(r#""automatic":false,"reconciliation_status":"not_applicable""#);
        assert_eq!(by_hand.told(None).unwrap().items, Some(Vec::new()));
    }
}
