//! The data of each kind of document, compared with the files that the template is tried on in
//! `documents/tests`. `UPDATE=1` writes them.

use std::path::Path;

use common::{
    branding::{BankAccount, Contact},
    id::{CreditNoteId, PaymentId},
    invoice::{CreditNoteLine, TaxLine},
    ledger::{Account, Cause, CauseKind, StatementLine},
    money::{Currency, Money},
    time::Window,
};

use super::*;
use crate::config::DocumentsConfig;

fn branding() -> Branding {
    Branding {
        contact: Some(Contact { name: Some("Accounts".into()), phone: Some("+49 30 123456".into()), email: None }),
        bank: Some(BankAccount { holder: None, iban: "DE89370400440532013000".into(), bic: None }),
        payment_terms: Some("Without deduction.".into()),
        footer: vec!["HRB 12345 Berlin".into()],
        ..Branding::default()
    }
}

fn compare(name: &str, paper: Paper<'_>, language: &str) {
    let languages = Languages::load(None).unwrap();
    let documents = Documents::new(DocumentsConfig::default().typesetter(), languages);
    let data = documents.data(paper, &branding(), Some(language)).unwrap();
    let found = serde_json::to_string_pretty(&data).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../documents/tests/data").join(format!("{name}.json"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name}.json differs; UPDATE=1 writes it. Now:\n{found}");
}

#[test]
fn documents_have_the_data_that_the_template_is_tried_on() {
    let invoice = sample::invoice();
    let money = |minor| Money::from_minor(minor, Currency::EUR);
    let note = CreditNote {
        id: CreditNoteId::from_u128(1),
        number: "SAMPLE-CN-000001".into(),
        issuer: invoice.issuer,
        tenant: invoice.tenant,
        invoice: invoice.id,
        total: money(595),
        issued_at: invoice.due_at,
        lines: vec![CreditNoteLine { line: 0, amount_minor: 400 }, CreditNoteLine { line: 1, amount_minor: 100 }],
        taxes: vec![TaxLine { rule: invoice.content.taxes[0].rule, net_minor: 500, tax_minor: 95 }],
        reason: "An outage".into(),
    };
    let payment = Payment {
        id: PaymentId::from_u128(1),
        issuer: invoice.issuer,
        tenant: invoice.tenant,
        invoice: invoice.id,
        amount: money(5_000),
        method: "bank_transfer".into(),
        reference: "statement 12 line 7".into(),
        refund_of: None,
        received_at: invoice.due_at,
        recorded_at: invoice.due_at,
    };
    let entry = |kind, at, minor, reference: &str| {
        let cause = Cause { kind, id: String::new() };
        let (issuer, account, amount) = (invoice.issuer, Account::Receivable, money(minor));
        (StatementLine { seq: 1, at, issuer, cause, account, amount }, reference.to_owned())
    };
    let statement = Statement {
        issuer: invoice.content.issuer.clone(),
        buyer: invoice.content.buyer.clone(),
        zone: Zone::utc(),
        window: Window { start: invoice.finalized_at, end: invoice.due_at.plus_seconds(86_400) },
        opening: money(-1_000),
        entries: vec![
            entry(CauseKind::Invoice, invoice.finalized_at, invoice.total.minor(), &invoice.number),
            entry(CauseKind::CreditNote, invoice.due_at, -595, &note.number),
            entry(CauseKind::Payment, invoice.due_at, -5_000, &payment.reference),
        ],
    };
    compare("invoice", Paper::Invoice(&invoice), "en");
    compare("rechnung", Paper::Invoice(&invoice), "de");
    compare("credit_note", Paper::CreditNote(&note, &invoice), "en");
    compare("receipt", Paper::Receipt(&payment, &invoice), "de");
    compare("statement", Paper::Statement(&statement), "en");
}
