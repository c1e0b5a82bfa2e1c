//! Events of an invoice.

use serde_json::{Value, json};

use super::{CreditNote, Invoice, InvoiceStatus};
use crate::event::{EventType, NewEvent};

/// An event of an invoice, as it stands after it.
pub(crate) fn of_invoice(kind: EventType, invoice: &Invoice) -> NewEvent {
    NewEvent { kind, tenant: invoice.tenant, object: invoice.id.to_string(), data: document(invoice) }
}

/// The event of a new status, if others hear of it.
pub(super) fn of_status(invoice: &Invoice) -> Option<NewEvent> {
    let kind = match invoice.status {
        InvoiceStatus::Paid => EventType::InvoicePaid,
        InvoiceStatus::Void => EventType::InvoiceVoided,
        InvoiceStatus::Uncollectible => EventType::InvoiceUncollectible,
        InvoiceStatus::Finalized => return None,
    };
    Some(of_invoice(kind, invoice))
}

/// The event of a step of dunning.
pub(crate) fn of_unpaid(invoice: &Invoice, action: &str, pay_at: Option<&str>) -> NewEvent {
    let mut event = of_invoice(EventType::InvoiceUnpaid, invoice);
    event.data["action"] = action.into();
    event.data["pay_at"] = pay_at.into();
    event
}

/// The event of a credit note. It keeps its order with the events of its invoice.
pub(super) fn of_credit_note(note: &CreditNote, invoice: &Invoice) -> NewEvent {
    let data = json!({
        "id": note.id,
        "number": note.number,
        "invoice": note.invoice,
        "invoice_number": invoice.number,
        "issuer": { "tenant": note.issuer, "name": invoice.content.issuer.name },
        "buyer": { "tenant": note.tenant, "name": invoice.content.buyer.name },
        "currency": note.total.currency().code(),
        "total": note.total.digits(),
        "reason": note.reason,
        "issued_at": note.issued_at.to_string(),
    });
    NewEvent { kind: EventType::CreditNoteCreated, tenant: note.tenant, object: note.invoice.to_string(), data }
}

fn document(invoice: &Invoice) -> Value {
    let period =
        invoice.period.map(|period| json!({ "start": period.start.to_string(), "end": period.end.to_string() }));
    json!({
        "id": invoice.id,
        "number": invoice.number,
        "status": invoice.status,
        "issuer": { "tenant": invoice.issuer, "name": invoice.content.issuer.name },
        "buyer": { "tenant": invoice.tenant, "name": invoice.content.buyer.name },
        "period": period,
        "currency": invoice.total.currency().code(),
        "total": invoice.total.digits(),
        "credit_used": invoice.credit_used.digits(),
        "open": invoice.open.digits(),
        "finalized_at": invoice.finalized_at.to_string(),
        "due_at": invoice.due_at.to_string(),
    })
}
