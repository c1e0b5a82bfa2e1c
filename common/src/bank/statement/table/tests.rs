use proptest::prelude::*;

use super::*;

/// As a German bank writes it: lines before the header, `;`, decimal commas, days first, Windows-1252.
const GERMAN: &str = "Umsätze Girokonto;;\r\nZeitraum:;\"01.12.2026 - 31.12.2026\";\r\n\r\n\
    Buchungstag;Verwendungszweck;Kundenreferenz;Zahlungspflichtiger;IBAN;Betrag;Währung\r\n\
    03.12.2026;\"Rechnung INV-000042; danke\";E2E-1;Müller GmbH;AT61 1904 3002 3457 3201;1.103,80;EUR\r\n\
    03.12.2026;Kontoführung;;;;-4,90;EUR\r\n\
    03.12.2026;INV-000043;;Jane;;\"5,00\";EUR\r\n\
    03.12.2026;INV-000043;;Jane;;\"5,00\";EUR\r\n\
    ;;;;Endsaldo;9.999,00;EUR\r\n";

fn german() -> TableProfile {
    let of = |text: &str| Some(text.to_owned());
    TableProfile {
        account: of("DE89 3704 0044 0532 0130 00"),
        decimal: of(","),
        date_format: of("DD.MM.YYYY"),
        date_column: of("Buchungstag"),
        amount_column: of("Betrag"),
        currency_column: of("Währung"),
        text_columns: of("Verwendungszweck|Kundenreferenz"),
        payer_column: of("Zahlungspflichtiger"),
        payer_account_column: of("IBAN"),
        ..TableProfile::default()
    }
}

fn windows(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}

fn minors(statement: &BankStatement) -> Vec<i64> {
    statement.entries.iter().map(|entry| entry.amount.minor()).collect()
}

#[test]
fn table_of_a_german_bank_is_read_by_a_profile() {
    let statement = read(&windows(GERMAN), &german()).unwrap();
    assert_eq!((minors(&statement), statement.debits), (vec![110_380, 500, 500], 1));
    let first = &statement.entries[0];
    assert_eq!(first.text, "Rechnung INV-000042; danke E2E-1");
    assert_eq!((first.payer.as_deref(), first.account.as_str()), (Some("Müller GmbH"), "DE89370400440532013000"));
    assert_ne!(statement.entries[1].fingerprint, statement.entries[2].fingerprint, "two that agree in all");
    let with_mark = [b"\xef\xbb\xbf", GERMAN.as_bytes()].concat();
    assert_eq!(read(&with_mark, &german()).unwrap(), statement, "UTF-8 with its mark");
}

#[test]
fn table_without_a_profile_has_english_columns() {
    let table = "account,date,amount,currency,text\n\
        NL91ABNA0417164300,2026-12-03,\"1,234.50\",usd,\"INV-000001 \"\"final\"\"\nsecond line\"\n";
    let statement = read(table.as_bytes(), &TableProfile::default()).unwrap();
    assert_eq!(statement.entries[0].amount, Money::from_minor(123_450, Currency::USD));
    assert_eq!(statement.entries[0].text, "INV-000001 \"final\" second line");
    let tabs = table.replace("\"1,234.50\"", "1234.50").replace(',', "\t");
    assert_eq!(read(tabs.as_bytes(), &TableProfile::default()).unwrap().entries, statement.entries, "with tabs");
}

#[test]
fn direction_column_counts_instead_of_the_sign() {
    let profile = TableProfile { direction_column: Some("S/H".into()), ..TableProfile::default() };
    let table = "account;date;amount;currency;text;S/H\n1;2026-12-03;5.00;EUR;a;H\n1;2026-12-03;6.00;EUR;b;S\n";
    let statement = read(table.as_bytes(), &profile).unwrap();
    assert_eq!((minors(&statement), statement.debits), (vec![500], 1));
    let error = read(table.replace(";H\n", ";X\n").as_bytes(), &profile).unwrap_err().to_string();
    assert_eq!(error, "line 2: direction: `x` is neither debit nor credit");
    let error = read(table.replace("5.00", "-5.00").as_bytes(), &profile).unwrap_err().to_string();
    assert!(error.contains("the row says that it is a credit"), "{error}");
}

#[test]
fn amount_is_read_in_one_way_or_refused() {
    let form =
        |decimal: &str| Form::of(&TableProfile { decimal: Some(decimal.into()), ..TableProfile::default() }).unwrap();
    for (text, decimal, minor) in [
        ("103.80", ".", 10_380),
        ("103,80", ",", 10_380),
        ("+1,234,567.00", ".", 123_456_700),
        ("1.234.567,8", ",", 123_456_780),
        ("12", ",", 1_200),
        ("12,00-", ",", -1_200),
        ("\u{2212}12,00", ",", -1_200),
        ("1'234.50", ".", 123_450),
        ("1\u{202f}234,50", ",", 123_450),
        ("1,234", ".", 123_400),
    ] {
        assert_eq!(form(decimal).amount(text, Currency::EUR).unwrap().minor(), minor, "{text}");
    }
    for (text, decimal) in [
        ("103,80", "."),
        ("103.80", ","),
        ("1.234", "."),
        ("1,234", ","),
        ("12,34.50", "."),
        ("1.23.456,00", ","),
        ("", "."),
        ("-", "."),
        ("--5", "."),
        ("5 EUR", "."),
        (".50", "."),
        ("5.", "."),
        ("1e5", "."),
        ("99999999999999999999", "."),
    ] {
        assert!(form(decimal).amount(text, Currency::EUR).is_err(), "{text}");
    }
}

#[test]
fn day_is_read_in_the_stated_form_only() {
    for (form, text) in [
        ("YYYY-MM-DD", "2026-12-03"),
        ("DD.MM.YYYY", "3.12.2026"),
        ("DD.MM.YY", "03.12.26"),
        ("DD/MM/YYYY", "03/12/2026"),
        ("MM/DD/YYYY", "12/03/2026"),
    ] {
        let profile = TableProfile { date_format: Some(form.into()), ..TableProfile::default() };
        let form = Form::of(&profile).unwrap();
        assert_eq!(form.date(text).unwrap().to_string(), "2026-12-03", "{text}");
        for other in ["", "2026-13-41", "31.02.2026", "00.12.2026", "3.12.", "03122026", "a.b.c"] {
            assert!(form.date(other).is_err(), "{other}");
        }
    }
}

#[test]
fn table_or_profile_with_a_fault_is_refused_with_its_place() {
    let refused = |table: &str, profile: &TableProfile, part: &str| {
        let error = read(table.as_bytes(), profile).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let german = german();
    refused(GERMAN, &TableProfile { amount_column: Some("Umsatz".into()), ..german.clone() }, "the column `Umsatz`");
    refused("", &german, "the column `Buchungstag`");
    refused(&GERMAN.replace("1.103,80", "1103.80"), &german, "line 5: amount: `1103.80`");
    refused(&GERMAN.replace("5,00\";EUR", "5,00\";Euro"), &german, "line 7: currency: `Euro`");
    refused(&GERMAN.replacen("03.12.2026;INV", "3/12/2026;INV", 1), &german, "line 7: date: `3/12/2026`");
    refused(GERMAN, &TableProfile { decimal: Some(";".into()), ..german.clone() }, "profile: decimal");
    refused(GERMAN, &TableProfile { date_format: Some("D.M.Y".into()), ..german.clone() }, "profile: date_format");
    refused(GERMAN, &TableProfile { encoding: Some("utf-7".into()), ..german.clone() }, "profile: encoding");
    refused(GERMAN, &TableProfile { currency: Some("EURO".into()), ..german.clone() }, "profile: currency");
    let bytes = windows(GERMAN);
    let strict = TableProfile { encoding: Some("utf-8".into()), ..german };
    assert_eq!(read(&bytes, &strict), Err(StatementError::Encoding("UTF-8")));
    assert!(matches!(read(&vec![b';'; STATEMENT_MAX_BYTES + 1], &strict), Err(StatementError::TooLarge(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, &TableProfile::default());
    }

    #[test]
    fn any_change_of_a_table_is_read_or_refused(
        changes in proptest::collection::vec((0..GERMAN.len(), any::<u8>(), 0_usize..30), 1..8),
    ) {
        let mut bytes = GERMAN.as_bytes().to_vec();
        for (place, byte, removed) in changes {
            let place = place.min(bytes.len().saturating_sub(1));
            let end = (place + removed).min(bytes.len());
            bytes.splice(place..end, [byte]);
        }
        let _ = read(&bytes, &german());
    }
}
