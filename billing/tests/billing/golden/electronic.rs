//! Electronic invoices of the stories, and what validators say of them.

use std::path::Path;

use billing::e_invoice::{self, ElectronicInvoiceError};
use common::{
    branding::{BankAccount, Branding, Contact},
    id::{InvoiceId, TenantId},
    invoice::{
        Address, Counts, CreditNote, Invoice, InvoiceContent, InvoiceKind, InvoiceLine, InvoiceStatus, LineKind, Party,
        TaxLine,
        tax::{TaxRule, Treatment},
    },
    money::{Currency, Money},
};
use servers::invoice_judge;

use crate::deployment::instant;

/// The written forms of an invoice and its credit notes, with the ends of their file names; none of
/// an invoice that the norm does not cover.
pub(super) fn forms(invoice: &Invoice, notes: &[CreditNote]) -> Vec<(String, String)> {
    let (invoice, branding) = (with_sides(invoice), branding());
    let mut forms = Vec::new();
    let mut add = |number: &str, electronic| {
        let electronic = match electronic {
            Ok(electronic) => electronic,
            Err(ElectronicInvoiceError::Currency(_)) => return,
            Err(error) => panic!("{number}: {error}"),
        };
        forms.push((format!("{number}.ubl.xml"), e_invoice::to_ubl(&electronic)));
        forms.push((format!("{number}.cii.xml"), e_invoice::to_cii(&electronic)));
    };
    add(&invoice.number, e_invoice::of_invoice(&invoice, &branding));
    for note in notes {
        add(&note.number, e_invoice::of_credit_note(note, &invoice, &branding));
    }
    forms
}

/// The stories tell nothing of addresses and tax ids, which the norm asks for.
fn with_sides(invoice: &Invoice) -> Invoice {
    let mut invoice = invoice.clone();
    complete(&mut invoice.content.issuer, "DE", "DE123456788");
    complete(&mut invoice.content.buyer, "AT", "ATU12345675");
    invoice
}

fn complete(party: &mut Party, country: &str, tax_id: &str) {
    party.address.get_or_insert_with(|| Address {
        lines: vec!["Musterstraße 1".into(), "2. Stock".into(), "Hof & Garten".into()],
        postal_code: Some("1010".into()),
        city: "Wien".into(),
        country: country.into(),
    });
    party.tax_id.get_or_insert_with(|| tax_id.into());
    party.email.get_or_insert_with(|| "billing@example.com".into());
}

fn branding() -> Branding {
    Branding {
        contact: Some(Contact {
            name: Some("Accounts".into()),
            phone: Some("+49 30 123456".into()),
            email: Some("accounts@example.com".into()),
        }),
        bank: Some(BankAccount {
            holder: Some("Root".into()),
            iban: "DE89370400440532013000".into(),
            bic: Some("COBADEFFXXX".into()),
        }),
        payment_terms: Some("Without deduction.".into()),
        ..Branding::default()
    }
}

/// An invoice of these lines: amount, rule and price.
fn invoice(lines: &[(i64, TaxRule)], taxes: &[(TaxRule, i64, i64)]) -> Invoice {
    let (issuer, tenant) = (TenantId::from_u128(1), TenantId::from_u128(2));
    let party = |tenant, name: &str| Party { tenant, name: name.into(), address: None, email: None, tax_id: None };
    let line = |(amount_minor, tax): &(i64, TaxRule)| InvoiceLine {
        kind: LineKind::Custom,
        description: "Work <&> \"東京\"".into(),
        meter: None,
        quantity: 1,
        unit_price: None,
        exact: None,
        amount_minor: *amount_minor,
        tax: *tax,
        period: None,
        coupon: None,
        in_advance: false,
    };
    let of_rule = |(rule, net_minor, tax_minor): &(TaxRule, i64, i64)| TaxLine {
        rule: *rule,
        net_minor: *net_minor,
        tax_minor: *tax_minor,
    };
    let (net, tax) = (taxes.iter().map(|tax| tax.1).sum::<i64>(), taxes.iter().map(|tax| tax.2).sum::<i64>());
    let (now, money) = (instant("2026-11-30T12:00:00Z"), |minor| Money::from_minor(minor, Currency::EUR));
    Invoice {
        id: InvoiceId::from_u128(1),
        number: "INV-1".into(),
        issuer,
        tenant,
        kind: InvoiceKind::OneOff,
        status: InvoiceStatus::Finalized,
        period: None,
        part: 0,
        total: money(net + tax),
        credit_used: money(0),
        open: money(net + tax),
        finalized_at: now,
        due_at: now.plus_seconds(14 * 86_400),
        content: InvoiceContent {
            issuer: party(issuer, "Verkäufer GmbH"),
            buyer: party(tenant, "株式会社 Käufer"),
            currency: Currency::EUR,
            period: None,
            plan: None,
            counts: Counts::default(),
            lines: lines.iter().map(line).collect(),
            taxes: taxes.iter().map(of_rule).collect(),
            subtotal_minor: net,
            tax_minor: tax,
            sections: Vec::new(),
            memo: Some("A remark".into()),
            input_hash: None,
        },
    }
}

fn rule(treatment: Treatment, percent: &str) -> TaxRule {
    TaxRule { treatment, percent: percent.parse().unwrap() }
}

/// Invoices that no story has: by name, and the country and tax id of the buyer.
fn further() -> Vec<(&'static str, Invoice, &'static str, &'static str)> {
    let (standard, reduced) = (rule(Treatment::Exclusive, "19"), rule(Treatment::Exclusive, "7"));
    let inclusive = rule(Treatment::Inclusive, "19");
    let (reverse, exempt) = (rule(Treatment::ReverseCharge, "0"), rule(Treatment::Exempt, "0"));
    vec![
        ("within_germany", invoice(&[(10_000, standard)], &[(standard, 10_000, 1_900)]), "DE", "DE987654329"),
        // 0.05 contains 0.01 of tax three times, and 0.15 contain 0.02: a cent is left over.
        (
            "inclusive",
            invoice(&[(5, inclusive), (5, inclusive), (5, inclusive)], &[(inclusive, 13, 2)]),
            "AT",
            "ATU12345675",
        ),
        (
            "inclusive_and_exclusive",
            invoice(
                &[(11_900, inclusive), (10_000, standard)],
                &[(inclusive, 10_000, 1_900), (standard, 10_000, 1_900)],
            ),
            "AT",
            "ATU12345675",
        ),
        (
            "discount",
            invoice(
                &[(10_000, standard), (-2_500, standard), (500, reduced)],
                &[(standard, 7_500, 1_425), (reduced, 500, 35)],
            ),
            "AT",
            "ATU12345675",
        ),
        ("reverse_charge", invoice(&[(10_380, reverse)], &[(reverse, 10_380, 0)]), "AT", "ATU12345675"),
        ("exempt", invoice(&[(10_380, exempt)], &[(exempt, 10_380, 0)]), "FR", "FR12345678901"),
    ]
}

#[test]
fn electronic_invoices_of_all_stories_keep_to_the_norm() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    files.sort();
    assert!(files.len() >= 28, "{files:?}");
    let directory = tempfile::tempdir().unwrap();
    for (name, mut invoice, country, tax_id) in further() {
        complete(&mut invoice.content.issuer, "DE", "DE123456788");
        complete(&mut invoice.content.buyer, country, tax_id);
        let electronic = e_invoice::of_invoice(&invoice, &branding()).unwrap();
        for (form, xml) in [("ubl", e_invoice::to_ubl(&electronic)), ("cii", e_invoice::to_cii(&electronic))] {
            let file = directory.path().join(format!("{name}.{form}.xml"));
            std::fs::write(&file, xml).unwrap();
            files.push(file);
        }
    }
    assert_eq!(invoice_judge::faults(&files).unwrap(), Vec::<String>::new());
}

#[test]
fn document_that_lacks_what_the_norm_asks_for_is_refused_with_its_side() {
    let reverse = rule(Treatment::ReverseCharge, "0");
    let mut invoice = invoice(&[(100, reverse)], &[(reverse, 100, 0)]);
    let refused = |invoice: &Invoice| e_invoice::of_invoice(invoice, &branding()).unwrap_err();
    assert_eq!(refused(&invoice), ElectronicInvoiceError::Address("Verkäufer GmbH".into()));
    complete(&mut invoice.content.issuer, "DE", "DE123456788");
    assert_eq!(refused(&invoice), ElectronicInvoiceError::Address("株式会社 Käufer".into()));
    complete(&mut invoice.content.buyer, "AT", "ATU12345675");
    invoice.content.buyer.tax_id = None;
    assert_eq!(refused(&invoice), ElectronicInvoiceError::BuyerTaxId("株式会社 Käufer".into()));
    invoice.content.issuer.tax_id = None;
    assert_eq!(refused(&invoice), ElectronicInvoiceError::SellerTaxId("Verkäufer GmbH".into()));
    invoice.content.currency = Currency::KWD;
    assert_eq!(refused(&invoice), ElectronicInvoiceError::Currency(Currency::KWD));
}

#[test]
fn judge_finds_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (form, from, to, rule) in [
        (
            "ubl",
            "<cbc:PayableAmount currencyID=\"USD\">101.00",
            "<cbc:PayableAmount currencyID=\"USD\">101.01",
            "BR-CO-16",
        ),
        ("cii", "<ram:DuePayableAmount>101.00", "<ram:DuePayableAmount>101.01", "BR-CO-16"),
    ] {
        let text = std::fs::read_to_string(golden.join(format!("first_month.0-INV-000001.{form}.xml"))).unwrap();
        let file = directory.path().join(format!("wrong.{form}.xml"));
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let faults = invoice_judge::faults(&[file]).unwrap();
        assert!(faults.iter().any(|fault| fault.contains(rule)), "{form}: {faults:?}");
    }
}
