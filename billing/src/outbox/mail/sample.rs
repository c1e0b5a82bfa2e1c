//! Samples: mail that templates are tried and shown with.

use common::{
    branding::{Branding, Contact},
    event::EventType,
    mail::{Language, MailBody, MailKind},
    time::Micros,
};
use serde_json::{Value, json};

use super::MailIssuer;

/// 2026-11-30T08:00:00Z.
const AT: Micros = Micros(1_796_025_600_000_000);

/// Mail of a kind, with everything that templates may name.
pub(super) fn sample(kind: MailKind, language: Language) -> MailBody {
    let (event, data) = told(kind);
    MailBody {
        mail: kind,
        address: "billing@acme.example".parse().ok(),
        language: Some(language),
        tenant_name: "Acme GmbH".into(),
        zone: "Europe/Berlin".into(),
        event,
        at: AT,
        data,
    }
}

/// The issuer of samples, with everything that templates may name.
pub(super) fn sample_issuer() -> MailIssuer {
    let (phone, email) = (Some("+44 20 7946 0000".into()), Some("billing@api.example".into()));
    let contact = Contact { phone, email, ..Contact::default() };
    let footer = vec!["Example API Ltd, London".into()];
    MailIssuer::new("Example API".into(), false, &Branding { contact: Some(contact), footer, ..Branding::default() })
}

fn told(kind: MailKind) -> (Option<EventType>, Value) {
    match kind {
        MailKind::Invoice => (Some(EventType::InvoiceFinalized), invoice()),
        MailKind::Reminder => (Some(EventType::InvoiceUnpaid), unpaid()),
        MailKind::Receipt => (Some(EventType::PaymentSucceeded), payment()),
        MailKind::PaymentFailed => (Some(EventType::PaymentFailed), failed_payment()),
        MailKind::PaymentToConfirm => (Some(EventType::PaymentActionRequired), payment_to_confirm()),
        MailKind::CreditNote => (Some(EventType::CreditNoteCreated), credit_note()),
        MailKind::UsageThreshold => (
            Some(EventType::UsageThresholdReached),
            json!({ "meter": "requests", "period": "2026-11", "percent": 80, "limit": 1_000_000, "used": 812_345 }),
        ),
        MailKind::KeyExpiring => (
            Some(EventType::KeyExpiring),
            json!({
                "id": "key_01jd0000000000000000000007", "name": "production", "hint": "x4f2",
                "expires_at": "2026-12-06T08:00:00Z",
            }),
        ),
        MailKind::EndpointDisabled => (
            Some(EventType::EndpointDisabled),
            json!({
                "id": "whk_01jd0000000000000000000003", "name": "CRM", "url": "https://crm.acme.example/hooks",
                "reason": "nothing could be delivered since 2026-11-26T20:00:00Z: answered 500",
                "failing_since": "2026-11-26T20:00:00Z",
            }),
        ),
        MailKind::SignIn => (
            None,
            json!({
                "url": "https://billing.example.com/portal/#link=lnk_..", "until": "2026-11-30T08:10:00Z",
                "address": "anna@acme.example",
            }),
        ),
    }
}

fn parties() -> [Value; 2] {
    [
        json!({ "tenant": "ten_01jd0000000000000000000000", "name": "Example API" }),
        json!({ "tenant": "ten_01jd0000000000000000000001", "name": "Acme GmbH" }),
    ]
}

fn invoice() -> Value {
    let [issuer, buyer] = parties();
    json!({
        "id": "inv_01jd0000000000000000000042", "number": "INV-000042", "status": "finalized", "issuer": issuer,
        "buyer": buyer, "period": { "start": "2026-10-31T23:00:00Z", "end": "2026-11-30T23:00:00Z" },
        "currency": "EUR", "total": "1234.50", "credit_used": "0.00", "open": "1234.50",
        "finalized_at": "2026-11-30T08:00:00Z", "due_at": "2026-12-14T08:00:00Z",
    })
}

fn unpaid() -> Value {
    let mut data = invoice();
    data["action"] = "suspend".into();
    data["pay_at"] = "https://pay.example.com/inv_01jd0000000000000000000042".into();
    data
}

fn credit_note() -> Value {
    let [issuer, buyer] = parties();
    json!({
        "id": "crn_01jd0000000000000000000005", "number": "INV-CN-000005", "invoice": "inv_01jd0000000000000000000042",
        "invoice_number": "INV-000042", "issuer": issuer, "buyer": buyer, "currency": "EUR", "total": "119.00",
        "reason": "a day of outage", "issued_at": "2026-11-30T08:00:00Z",
    })
}

fn payment() -> Value {
    let [issuer, buyer] = parties();
    json!({
        "id": "pay_01jd0000000000000000000009", "invoice": "inv_01jd0000000000000000000042",
        "invoice_number": "INV-000042", "issuer": issuer, "buyer": buyer, "currency": "EUR", "amount": "1234.50",
        "open": "0.00", "method": "bank_transfer", "refund_of": null, "received_at": "2026-11-30T08:00:00Z",
    })
}

fn payment_to_confirm() -> Value {
    let mut data = failed_payment();
    data["reason"] = Value::Null;
    data["action_url"] = "https://pay.example.com/confirm/pi_1".into();
    data
}

fn failed_payment() -> Value {
    let [issuer, buyer] = parties();
    json!({
        "id": "pat_01jd0000000000000000000004", "invoice": "inv_01jd0000000000000000000042",
        "invoice_number": "INV-000042", "issuer": issuer, "buyer": buyer, "currency": "EUR", "amount": "1234.50",
        "open": "1234.50", "method": "stripe", "reason": "insufficient_funds", "final": false,
        "action_url": null, "pay_at": "https://pay.example.com/inv_01jd0000000000000000000042",
    })
}
