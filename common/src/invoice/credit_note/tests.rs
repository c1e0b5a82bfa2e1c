//! Credit notes by tax rule: figures by hand.

use proptest::prelude::*;

use super::*;
use crate::{
    invoice::{Counts, InvoiceLine, LineKind, Party, tax},
    money::{Currency, Decimal},
};

fn rule(treatment: Treatment, percent: &str) -> TaxRule {
    TaxRule { treatment, percent: percent.parse().unwrap() }
}

fn content(lines: &[(i64, TaxRule)]) -> InvoiceContent {
    let party =
        |id| Party { tenant: TenantId::from_u128(id), name: "A".into(), address: None, email: None, tax_id: None };
    let line = |(amount_minor, tax): &(i64, TaxRule)| InvoiceLine {
        kind: LineKind::Custom,
        description: "A line".into(),
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
    let amounts: Vec<_> = lines.iter().map(|(minor, rule)| (Money::from_minor(*minor, Currency::EUR), *rule)).collect();
    let groups = tax::groups(&amounts, tax::TaxRounding::PerRate, Currency::EUR).unwrap();
    let tax_line = |group: &tax::TaxGroup| TaxLine {
        rule: group.rule,
        net_minor: group.net.minor(),
        tax_minor: group.tax.minor(),
    };
    InvoiceContent {
        issuer: party(1),
        buyer: party(2),
        currency: Currency::EUR,
        period: None,
        plan: None,
        counts: Counts::default(),
        lines: lines.iter().map(line).collect(),
        taxes: groups.iter().map(tax_line).collect(),
        subtotal_minor: groups.iter().map(|group| group.net.minor()).sum(),
        tax_minor: groups.iter().map(|group| group.tax.minor()).sum(),
        sections: Vec::new(),
        memo: None,
        input_hash: None,
    }
}

fn asked(lines: &[(usize, i64)]) -> NewCreditNote {
    NewCreditNote { lines: lines.to_vec(), reason: "a test".into() }
}

fn note(lines: Vec<CreditNoteLine>, taxes: Vec<TaxLine>) -> CreditNote {
    let total = taxes.iter().map(|tax| tax.net_minor + tax.tax_minor).sum();
    CreditNote {
        id: CreditNoteId::from_u128(1),
        number: "INV-CN-000001".into(),
        issuer: TenantId::from_u128(1),
        tenant: TenantId::from_u128(2),
        invoice: InvoiceId::from_u128(3),
        total: Money::from_minor(total, Currency::EUR),
        issued_at: Micros(0),
        lines,
        taxes,
        reason: "a test".into(),
    }
}

/// Net and tax by rule of notes that are issued one after the other.
fn taxes(content: &InvoiceContent, steps: &[&[(usize, i64)]]) -> Vec<Vec<(i64, i64)>> {
    let mut before = Vec::new();
    let mut found = Vec::new();
    for step in steps {
        let (lines, taxes) = taken_back(content, &before, &asked(step)).unwrap();
        found.push(taxes.iter().map(|tax| (tax.net_minor, tax.tax_minor)).collect());
        before.push(note(lines, taxes));
    }
    found
}

fn refusal(content: &InvoiceContent, before: &[CreditNote], lines: &[(usize, i64)]) -> String {
    taken_back(content, before, &asked(lines)).unwrap_err().to_string()
}

#[test]
fn each_rate_gets_its_own_tax_back() {
    let (high, low) = (rule(Treatment::Exclusive, "19"), rule(Treatment::Exclusive, "7"));
    let reverse = rule(Treatment::ReverseCharge, "0");
    let invoice = content(&[(10_000, high), (5_005, low), (333, high), (700, reverse)]);
    assert_eq!(taxes(&invoice, &[&[(0, 1_000), (1, 5), (3, 700)]]), [[(1_000, 190), (5, 0), (700, 0)]]);
    // All that is left, tax included: the cents of rounding, too.
    let all = taxes(&invoice, &[&[(2, 333)], &[(1, 5_004)], &[]]);
    assert_eq!(all[2], [(10_000, 1_900), (1, 0), (700, 0)]);
    assert_eq!(all[..2], [vec![(333, 63)], vec![(5_004, 350)]]);
}

#[test]
fn amount_that_contains_tax_is_taken_back_as_it_is_stated() {
    let (high, low) = (rule(Treatment::Inclusive, "19"), rule(Treatment::Inclusive, "7"));
    let invoice = content(&[(1_000, high), (1_000, high), (1_000, high), (107, low)]);
    assert_eq!(
        invoice.taxes.iter().map(|tax| (tax.net_minor, tax.tax_minor)).collect::<Vec<_>>(),
        [(2_521, 479), (100, 7)]
    );
    // 8.40 and 1.60 each; the last one takes what is left.
    let found = taxes(&invoice, &[&[(0, 1_000)], &[(1, 1_000)], &[]]);
    assert_eq!(found, [vec![(840, 160)], vec![(840, 160)], vec![(841, 159), (100, 7)]]);
}

#[test]
fn note_that_asks_for_what_is_not_there_is_refused() {
    let high = rule(Treatment::Exclusive, "19");
    let invoice = content(&[(1_000, high), (-200, high)]);
    assert!(refusal(&invoice, &[], &[(2, 1)]).contains("the invoice has lines 0 to 1"));
    assert!(refusal(&invoice, &[], &[(0, 0)]).contains("not above zero"));
    assert!(refusal(&invoice, &[], &[(0, 1), (0, 2)]).contains("named twice"));
    assert!(refusal(&invoice, &[], &[(0, 1_001)]).contains("10.00 EUR of line 0 is left"));
    // Of the rate, 8.00 are left: the deduction counts.
    assert!(taken_back(&invoice, &[], &asked(&[(0, 800)])).is_ok());
    assert!(refusal(&invoice, &[], &[(0, 801)]).contains("8.00 EUR"));
    let (lines, taxes) = taken_back(&invoice, &[], &asked(&[])).unwrap();
    assert_eq!(taxes.iter().map(|tax| (tax.net_minor, tax.tax_minor)).collect::<Vec<_>>(), [(800, 152)]);
    assert!(refusal(&invoice, &[note(lines, taxes)], &[]).contains("nothing of the invoice is left"));
}

proptest! {
    #[test]
    fn notes_and_what_they_leave_come_to_the_invoice(
        amounts in prop::collection::vec((1_i64..5_000, 0_usize..4), 1..5),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 1_i64..3_000), 0..8),
    ) {
        let rules = [
            rule(Treatment::Exclusive, "19"),
            rule(Treatment::Inclusive, "7"),
            rule(Treatment::ReverseCharge, "0"),
            TaxRule { treatment: Treatment::Inclusive, percent: Decimal::new(233_333, 4) },
        ];
        let lines: Vec<_> = amounts.iter().map(|(minor, which)| (*minor, rules[*which])).collect();
        let invoice = content(&lines);
        let mut before: Vec<CreditNote> = Vec::new();
        for (line, minor) in &steps {
            if let Ok((lines, taxes)) = taken_back(&invoice, &before, &asked(&[(line.index(lines.len()), *minor)])) {
                prop_assert!(taxes.iter().all(|tax| tax.net_minor >= 0 && tax.tax_minor >= 0));
                before.push(note(lines, taxes));
            }
        }
        if let Ok((lines, taxes)) = taken_back(&invoice, &before, &asked(&[])) {
            before.push(note(lines, taxes));
            for group in &invoice.taxes {
                let of_rule = |part: fn(&TaxLine) -> i64| -> i64 {
                    let taxes = before.iter().flat_map(|note| &note.taxes);
                    taxes.filter(|tax| tax.rule == group.rule).map(part).sum()
                };
                prop_assert_eq!(of_rule(|tax| tax.net_minor), group.net_minor);
                prop_assert_eq!(of_rule(|tax| tax.tax_minor), group.tax_minor);
            }
        } else {
            // Nothing is left of any line.
            prop_assert!(left_of_lines(&invoice, &before).iter().all(|left| *left == 0));
        }
    }
}
