//! Events, as Stripe writes them.

use common::id::PaymentAttemptId;
use serde::Deserialize;

use crate::payment::provider::About;

#[derive(Debug, Deserialize)]
struct Event {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Object,
}

/// The members of the thing that an event is about that are read.
#[derive(Debug, Deserialize)]
struct Object {
    id: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    setup_intent: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    tollgate_attempt: Option<PaymentAttemptId>,
}

/// The thing that an event of this kind is about.
pub(super) fn about(kind: &str, body: &str) -> About {
    let Ok(Event { data: Data { object } }) = serde_json::from_str::<Event>(body) else { return About::Nothing };
    let family = kind.split('.').next().unwrap_or_default();
    let about = match (family, kind) {
        ("payment_intent", _) => {
            let attempt = object.metadata.unwrap_or_default().tollgate_attempt;
            object.id.map(|id| About::Intent { id, attempt })
        }
        (_, "setup_intent.succeeded") => object.id.map(About::Setup),
        ("checkout", _) => match (object.metadata.unwrap_or_default().tollgate_attempt, kind) {
            (Some(attempt), _) => Some(About::Page(attempt)),
            (None, "checkout.session.completed") => object.setup_intent.map(About::Setup),
            (None, _) => None,
        },
        (_, kind) if kind.starts_with("charge.dispute.") => object.id.map(About::Dispute),
        ("payout", _) => object.id.map(About::Payout),
        _ => None,
    };
    about.unwrap_or(About::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_about_the_thing_that_it_names() {
        let attempt = PaymentAttemptId::generate();
        let intent = format!(r#"{{"id":"pi_1","metadata":{{"tollgate_attempt":"{attempt}"}}}}"#);
        for (kind, object, expected) in [
            ("payment_intent.succeeded", intent.as_str(), About::Intent { id: "pi_1".into(), attempt: Some(attempt) }),
            ("payment_intent.created", r#"{"id":"pi_1"}"#, About::Intent { id: "pi_1".into(), attempt: None }),
            ("setup_intent.succeeded", r#"{"id":"seti_1"}"#, About::Setup("seti_1".into())),
            ("checkout.session.completed", r#"{"id":"cs_1","setup_intent":"seti_1"}"#, About::Setup("seti_1".into())),
            ("checkout.session.completed", intent.replace("pi_1", "cs_1").as_str(), About::Page(attempt)),
            ("checkout.session.expired", r#"{"id":"cs_1"}"#, About::Nothing),
            ("charge.dispute.funds_withdrawn", r#"{"id":"dp_1"}"#, About::Dispute("dp_1".into())),
            ("payout.reconciliation_completed", r#"{"id":"po_1"}"#, About::Payout("po_1".into())),
            ("charge.succeeded", r#"{"id":"ch_1"}"#, About::Nothing),
            ("payout.paid", "{}", About::Nothing),
            ("payout.paid", "[]", About::Nothing),
        ] {
            let body = format!(r#"{{"data":{{"object":{object}}}}}"#);
            assert_eq!(about(kind, &body), expected, "{kind} {object}");
        }
    }
}
