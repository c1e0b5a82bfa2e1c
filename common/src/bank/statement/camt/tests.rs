use proptest::prelude::*;

use super::*;

const V02: &str = include_str!("tests/version_02.xml");
const V08: &str = include_str!("tests/version_08.xml");

fn eur(minor: i64) -> Money {
    Money::from_minor(minor, Currency::EUR)
}

fn read_text(text: &str) -> Result<BankStatement, StatementError> {
    read(text.as_bytes())
}

#[test]
fn statements_of_version_2_are_read_with_batches_and_reversals() {
    let statement = read_text(V02).unwrap();
    assert_eq!((statement.debits, statement.pending), (1, 1));
    let told: Vec<_> = statement
        .entries
        .iter()
        .map(|entry| (entry.kind, entry.amount, entry.text.as_str(), entry.bank_reference.as_deref()))
        .collect();
    let credit = EntryKind::Credit;
    assert_eq!(
        told,
        [
            (credit, eur(10_380), "INV-000042 thank you E2E-1", Some("BANK-1")),
            (credit, eur(5_000), "Rechnung inv 43", None),
            (credit, eur(2_500), "INV-000044 E2E-3", Some("BANK-2-2")),
            (credit, eur(2_500), "INV-000044 E2E-3", None),
            (EntryKind::CreditReversal, eur(10_380), "INV-000042", Some("BANK-4")),
            (EntryKind::DebitReversal, eur(700), "refund of INV-000030", Some("BANK-5")),
            (credit, eur(300), "a deposit in cash", None),
        ]
    );
    let first = &statement.entries[0];
    assert_eq!(first.account, "DE89370400440532013000");
    assert_eq!(first.payer.as_deref(), Some("Müller & Söhne GmbH"));
    assert_eq!(first.payer_account.as_deref(), Some("AT611904300234573201"));
    assert_eq!(first.booked_on.to_string(), "2026-12-03");
    assert_eq!(statement.entries[5].payer.as_deref(), Some("Acme"), "the side that the money had been sent to");
}

#[test]
fn statements_of_version_8_are_read_with_currencies_and_structured_references() {
    let statement = read_text(V08).unwrap();
    assert_eq!((statement.debits, statement.pending), (0, 1));
    let [first, second, third] = &statement.entries[..] else { panic!("{statement:?}") };
    assert_eq!(first.creditor_reference.as_deref(), Some("RF29INV000042"));
    assert_eq!((first.amount, first.payer.as_deref()), (eur(1), Some("Jane Doe")));
    assert_eq!(second.account, "00-1234-5", "a number that is no IBAN, of another statement");
    assert_eq!(second.amount, Money::from_minor(1_500, Currency::JPY));
    assert_eq!(second.text, "Invoice INV-000050 INV-000051");
    // The amounts of its transactions are in other currencies: it stays whole.
    assert_eq!((third.amount.minor(), third.amount.currency()), (9_000, Currency::USD));
    assert_eq!(third.text, "INV-000061 INV-000062");
}

#[test]
fn entry_has_the_same_fingerprint_in_another_file() {
    let whole = read_text(V02).unwrap();
    let latin: Vec<u8> = V02.replace("UTF-8", "ISO-8859-1").chars().map(|letter| letter as u8).collect();
    assert_eq!(read(&latin).unwrap(), whole, "the same text in another encoding");
    let (head, tail) = V02.split_at(V02.find("<Ntry>").unwrap());
    let later = format!("{head}{}", &tail[tail.find("</Ntry>").unwrap() + 7..]);
    assert_eq!(read_text(&later).unwrap().entries, whole.entries[1..], "a file that begins a day later");
    let all: std::collections::HashSet<_> = whole.entries.iter().map(|entry| &entry.fingerprint).collect();
    assert_eq!(all.len(), whole.entries.len());
}

#[test]
fn what_is_no_statement_is_refused_with_its_place() {
    let refused = |text: &str, part: &str| {
        let error = read_text(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused("", "not XML");
    refused("<a>", "not XML");
    refused("<html/>", "`html`");
    refused("INV-000042;103.80", "not XML");
    refused(&V02.replace("camt.053.001.02", "camt.052.001.02"), "`camt.052.001.02`; ask the bank for camt.053");
    refused(&V02.replace("10.00</Amt>", "10.001</Amt>"), "Amt: `10.001` is not an amount in Euro");
    refused(&V02.replace("10.00</Amt>", "1e3</Amt>"), "line 88, column 9: Amt");
    refused(&V02.replace("Ccy=\"EUR\">10.00", "Ccy=\"EURO\">10.00"), "Ccy: `EURO` is not a currency");
    refused(&V02.replace("<Dt>2026-12-03</Dt>", "<Dt>3.12.2026</Dt>"), "BookgDt");
    refused(&V02.replace("<CdtDbtInd>CRDT", "<CdtDbtInd>C"), "neither CRDT nor DBIT");
    refused(&V02.replace("<RvslInd>true", "<RvslInd>yes"), "neither true nor false");
    refused(&V02.replace("<IBAN>DE89370400440532013000</IBAN>", ""), "names no account");
    refused(&V02.replace("UTF-8", "EBCDIC-CP-DE"), "its encoding is EBCDIC-CP-DE");
}

#[test]
fn entities_do_not_expand_and_nothing_outside_is_read() {
    let bomb = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;\">]>";
    let outside = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>";
    for definition in [bomb, outside] {
        let text = V02.replace("<Document", &format!("{definition}<Document")).replace("thank you", "&b;");
        assert!(matches!(read_text(&text), Err(StatementError::Xml(_))), "{definition}");
    }
    assert!(matches!(read_text(&V02.replace("thank you", "&b;")), Err(StatementError::Xml(_))));
    let large = vec![b' '; STATEMENT_MAX_BYTES + 1];
    assert_eq!(read(&large), Err(StatementError::TooLarge(STATEMENT_MAX_BYTES + 1)));
    let nested = format!("<Document>{}", "<a>".repeat(1_000_000));
    assert!(read_text(&nested).is_err(), "a million levels");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_change_of_a_statement_is_read_or_refused(
        changes in proptest::collection::vec((0..V02.len(), any::<u8>(), 0_usize..40), 1..8),
    ) {
        let mut bytes = V02.as_bytes().to_vec();
        for (place, byte, removed) in changes {
            let place = place.min(bytes.len().saturating_sub(1));
            let end = (place + removed).min(bytes.len());
            bytes.splice(place..end, [byte]);
        }
        let _ = read(&bytes);
    }
}
