//! Exports: what other programs read is what the books have.

use std::{collections::BTreeMap, path::Path, process::Command};

use common::{
    export::{AccountMap, DatevProfile, ExportKind, ExportQuery, InvoiceSide},
    id::TenantId,
    invoice::{
        BillingDetails, Invoice, InvoiceLine, LineKind,
        tax::{TaxRule, Treatment},
    },
    ledger::Account,
    money::{Currency, Money, UnitPrice},
    store::{Store, StoreError},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Date, Micros, Window},
    wallet::{GrantKind, NewWalletGrant},
};
use servers::{bean_check, focus_validator};

use crate::{
    fixture::{Fixture, NOW, assert_refused, new_tenant, on_both_engines, person_at, root},
    invoice::{bill, credit, exclusive, finalized, line, transfer},
};

on_both_engines!(
    table_of_the_ledger_has_every_entry_and_no_formula,
    beancount_reads_the_books_and_finds_every_balance,
    batch_for_datev_sums_to_the_trial_balance,
    tables_of_invoices_and_lines_sum_to_the_totals,
    focus_validator_accepts_the_costs_and_they_sum_to_what_is_owed,
    large_export_is_written_in_pieces,
    books_of_others_are_not_exported,
);

const ALWAYS: Window = Window { start: Micros(0), end: Micros(NOW.0 + 1) };

/// An issuer, two buyers of whom one is below the other, and their invoices, credit notes and payments.
struct Books {
    store: Store,
    issuer: TenantId,
    buyer: TenantId,
    invoices: Vec<Invoice>,
}

fn metered(kind: LineKind, quantity: i128, minor: i64, price: Option<(&str, u64)>) -> InvoiceLine {
    let unit_price = price.map(|(amount, per)| UnitPrice { amount: amount.parse().unwrap(), per });
    let meter = Some("requests".to_owned());
    InvoiceLine { kind, meter, quantity, unit_price, description: "Requests, \"all\"".into(), ..line(minor, None) }
}

async fn books(fixture: &Fixture) -> Books {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let named = |name: &str, parent| NewTenant { name: name.into(), ..new_tenant(TenantKind::Reseller, Some(parent)) };
    let buyer = store.create_tenant(&named("=HYPERLINK(\"x\")", issuer), NOW).await.unwrap().id;
    let below = store.create_tenant(&named("Müller, \"Söhne\"", buyer), NOW).await.unwrap().id;
    let rules = [(buyer, exclusive("19")), (below, TaxRule { treatment: Treatment::Inclusive, ..exclusive("7") })];
    for (tenant, tax) in rules {
        let details = BillingDetails { tax: Some(tax), ..BillingDetails::default() };
        store.set_billing_details(tenant, &details, NOW).await.unwrap();
    }
    let lines = || {
        vec![
            line(2_900, None),
            InvoiceLine { kind: LineKind::FlatFee, ..line(1_000, None) },
            metered(LineKind::Included, 100, 0, None),
            metered(LineKind::Usage, 1_234, 617, Some(("0.50", 100))),
            metered(LineKind::Usage, 7, 700, Some(("1.00", 1))),
            InvoiceLine { kind: LineKind::Minimum, ..line(50, None) },
            InvoiceLine { kind: LineKind::Discount, ..line(-133, None) },
        ]
    };
    let mut invoices = Vec::new();
    for tenant in [buyer, below] {
        let new = bill(issuer, tenant, -1, with_rule(&store, tenant, lines()).await);
        invoices.push(finalized(&store, &new).await);
    }
    credit(&store, invoices[0].id, &[(0, 1_000)]).await.unwrap();
    store.record_payment(&transfer(invoices[1].id, 1_000, "1"), NOW).await.unwrap();
    let grant = NewWalletGrant {
        issuer: Some(issuer),
        tenant: buyer,
        amount: Money::from_minor(777, Currency::EUR),
        kind: GrantKind::Promotional,
        priority: 50,
        expires_at: None,
        reference: "gift".into(),
        reason: None,
    };
    store.grant_money(&grant, NOW).await.unwrap();
    Books { store, issuer, buyer, invoices }
}

/// Lines with the rule of a tenant, as rating makes them.
async fn with_rule(store: &Store, tenant: TenantId, lines: Vec<InvoiceLine>) -> Vec<InvoiceLine> {
    let details = store.billing_details(tenant).await.unwrap();
    lines.into_iter().map(|line| InvoiceLine { tax: details.tax_of(line.meter.as_deref()), ..line }).collect()
}

async fn exported(
    store: &Store,
    tenant: TenantId,
    window: Window,
    kind: ExportKind,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut export = store.export(ExportQuery { tenant, window, kind }).await?;
    let mut pieces = Vec::new();
    while let Some(piece) = export.next().await? {
        pieces.push(piece);
    }
    assert_eq!(export.next().await?, None, "the end stays the end");
    Ok(pieces)
}

/// The rows of a table, by the names of its columns.
async fn table(store: &Store, tenant: TenantId, kind: ExportKind) -> Vec<BTreeMap<String, String>> {
    let bytes = exported(store, tenant, ALWAYS, kind).await.unwrap().concat();
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let names = reader.headers().unwrap().clone();
    let row = |row: csv::StringRecord| {
        names.iter().zip(row.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Sum of a column, in hundredths.
fn sum(rows: &[BTreeMap<String, String>], column: &str, only: impl Fn(&BTreeMap<String, String>) -> bool) -> i64 {
    let cells = rows.iter().filter(|row| only(row)).map(|row| &row[column]).filter(|cell| !cell.is_empty());
    cells.map(|cell| Money::parse(cell, Currency::USD).unwrap().minor()).sum()
}

/// The balance of an account in a currency, in hundredths.
async fn balance(books: &Books, account: Account, currency: Currency) -> i64 {
    let all = books.store.trial_balance(books.issuer, None).await.unwrap();
    let found = all.iter().find(|one| one.account == account && one.amount.currency() == currency);
    found.map_or(0, |one| one.amount.minor())
}

async fn table_of_the_ledger_has_every_entry_and_no_formula(fixture: Fixture) {
    let books = books(&fixture).await;
    let rows = table(&books.store, books.issuer, ExportKind::Ledger).await;
    let entries = fixture.number("SELECT COUNT(*) FROM ledger_entries").await;
    assert_eq!(i64::try_from(rows.len()).unwrap(), entries);
    for currency in ["USD", "EUR"] {
        let of = |row: &BTreeMap<String, String>| row["currency"] == currency;
        assert_eq!(sum(&rows, "debit", of), sum(&rows, "credit", of), "{currency}");
    }
    for account in Account::ALL {
        let of = |row: &BTreeMap<String, String>| row["account"] == account.as_str() && row["currency"] == "USD";
        assert_eq!(sum(&rows, "debit", of) - sum(&rows, "credit", of), balance(&books, *account, Currency::USD).await);
    }
    assert!(rows.iter().any(|row| row["tenant_name"] == "'=HYPERLINK(\"x\")"));
    assert!(rows.iter().any(|row| row["document"] == "INV-CN-000001"));
    let paid = rows.iter().find(|row| row["cause"] == "payment").unwrap();
    assert_eq!(paid["document"], "INV-000002", "a payment has the number of its invoice");
}

/// Runs `bean-check` on a text, and says what it tells.
fn beancount_tells(directory: &Path, text: &str) -> (bool, String) {
    let file = directory.join("books.beancount");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(bean_check().unwrap()).arg(&file).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn beancount_reads_the_books_and_finds_every_balance(fixture: Fixture) {
    let (books, directory) = (books(&fixture).await, tempfile::tempdir().unwrap());
    let accounts: AccountMap = "cash=Assets:Giro:Main".parse().unwrap();
    let pieces = exported(&books.store, books.issuer, ALWAYS, ExportKind::Beancount(accounts)).await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    let name = |account| match account {
        Account::Receivable => "Assets:Receivable",
        Account::Credit => "Liabilities:Credit",
        Account::DeferredRevenue => "Liabilities:DeferredRevenue",
        Account::Revenue => "Income:Revenue",
        Account::Tax => "Liabilities:Tax",
        Account::Cash => "Assets:Giro:Main",
        Account::WriteOff => "Expenses:WriteOff",
        Account::Promotion => "Expenses:Promotion",
        Account::Disputed => "Assets:Disputed",
        Account::Fees => "Expenses:Fees",
        Account::Bank => "Assets:Bank",
        Account::Unmatched => "Assets:Unmatched",
    };
    let mut told = Vec::new();
    for account in Account::ALL {
        for currency in [Currency::USD, Currency::EUR] {
            told.push((*account, balance(&books, *account, currency).await, currency));
        }
    }
    let checked = |off: i64| {
        told.iter().fold(text.clone(), |text, (account, minor, currency)| {
            let amount = Money::from_minor(minor + off, *currency).digits();
            format!("{text}\n2099-01-01 balance {} {amount} ~ 0 {}", name(*account), currency.code())
        })
    };
    let (is_right, tells) = beancount_tells(directory.path(), &format!("{}\n", checked(0)));
    assert!(is_right, "{tells}\n{text}");
    let (is_right, tells) = beancount_tells(directory.path(), &format!("{}\n", checked(1)));
    assert!(!is_right && tells.contains("Balance failed"), "a cent more is found: {tells}");
}

async fn batch_for_datev_sums_to_the_trial_balance(fixture: Fixture) {
    let books = books(&fixture).await;
    let year = Date { year: 2026, month: 1, day: 1 };
    let profile = |year| {
        let accounts: AccountMap = "revenue=8400".parse().unwrap();
        let profile = DatevProfile::new((29_098, 55_003), year, Currency::USD, accounts, NOW).unwrap();
        ExportKind::Datev(Box::new(profile))
    };
    let november = Window { start: "2026-11-01T00:00:00Z".parse().unwrap(), end: NOW.plus_seconds(1) };
    let bytes = exported(&books.store, books.issuer, november, profile(year)).await.unwrap().concat();
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(
        lines[0],
        "\"EXTF\";700;21;\"Buchungsstapel\";13;20261122013000000;;\"RE\";\"\";\"\";29098;55003;20260101;4;20261101;20261122;\
         \"Tollgate\";\"\";1;0;0;\"USD\";;\"\";;;\"\";;;\"\";\"\""
    );
    assert_eq!(lines[0].split(';').count(), 31);
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for line in &lines[2..] {
        let fields: Vec<&str> = line.split(';').collect();
        assert_eq!((fields.len(), fields[1], fields[2], fields[9]), (14, "\"S\"", "\"USD\"", "2211"), "{line}");
        let amount = Money::parse(&fields[0].replace(',', "."), Currency::USD).unwrap().minor();
        *sums.entry(fields[6].into()).or_default() += amount;
        *sums.entry(fields[7].into()).or_default() -= amount;
    }
    for (number, account) in
        [("1400", Account::Receivable), ("8400", Account::Revenue), ("1776", Account::Tax), ("1360", Account::Cash)]
    {
        assert_eq!(
            sums.get(number).copied().unwrap_or_default(),
            balance(&books, account, Currency::USD).await,
            "{account}"
        );
    }
    assert!(text.contains("\"invoice M\u{fc}ller, \"\"S\u{f6}hne\"\"\""), "{text}");
    let later = Date { year: 2027, ..year };
    assert_refused(
        exported(&books.store, books.issuer, november, profile(later)).await,
        "is not within the fiscal year",
    );
}

async fn tables_of_invoices_and_lines_sum_to_the_totals(fixture: Fixture) {
    let books = books(&fixture).await;
    let total: i64 = books.invoices.iter().map(|invoice| invoice.total.minor()).sum();
    let rows = table(&books.store, books.issuer, ExportKind::Invoices(InvoiceSide::Issued)).await;
    assert_eq!((rows.len(), sum(&rows, "total", |_| true)), (2, total));
    assert_eq!(rows[0]["buyer_name"], "'=HYPERLINK(\"x\")");
    let owed = table(&books.store, books.buyer, ExportKind::Invoices(InvoiceSide::Owed)).await;
    assert_eq!((owed.len(), owed[0]["number"].as_str()), (1, "INV-000001"));
    let lines = table(&books.store, books.issuer, ExportKind::InvoiceLines(InvoiceSide::Issued)).await;
    assert_eq!(lines.len(), 2 * 7 + 2, "a row for each line, and for each tax");
    let first = |row: &BTreeMap<String, String>| row["number"] == "INV-000001";
    assert_eq!(sum(&lines, "amount", first) + sum(&lines, "tax", first), books.invoices[0].total.minor());
    let second = |row: &BTreeMap<String, String>| row["number"] == "INV-000002";
    assert_eq!(sum(&lines, "amount", second), books.invoices[1].total.minor(), "lines that include their tax");
    let none =
        exported(&books.store, books.issuer, Window { end: NOW, ..ALWAYS }, ExportKind::Invoices(InvoiceSide::Issued));
    assert_eq!(none.await.unwrap().len(), 1, "only the header before they were finalized");
}

async fn focus_validator_accepts_the_costs_and_they_sum_to_what_is_owed(fixture: Fixture) {
    let (books, directory) = (books(&fixture).await, tempfile::tempdir().unwrap());
    let rows = table(&books.store, books.buyer, ExportKind::Focus { subtree: true }).await;
    let notes = books.store.credit_notes(books.invoices[0].id).await.unwrap();
    let owed: i64 = books.invoices.iter().map(|invoice| invoice.total.minor()).sum();
    assert_eq!(sum(&rows, "BilledCost", |_| true), owed - notes[0].total.minor());
    for invoice in &books.invoices {
        let of = |row: &BTreeMap<String, String>| row["InvoiceId"] == invoice.number && row["ChargeClass"].is_empty();
        assert_eq!(sum(&rows, "BilledCost", of), invoice.total.minor(), "{}", invoice.number);
    }
    let own = table(&books.store, books.buyer, ExportKind::Focus { subtree: false }).await;
    assert!(own.iter().all(|row| row["BillingAccountId"] == books.buyer.to_string()) && own.len() < rows.len());
    let usage = rows.iter().find(|row| row["ConsumedQuantity"] == "1234.0").unwrap();
    assert_eq!((usage["PricingQuantity"].as_str(), usage["PricingUnit"].as_str()), ("12.34", "100 requests"));
    let validated = |rows: &[BTreeMap<String, String>]| {
        let file = directory.path().join("focus.csv");
        std::fs::write(&file, with_former_names(rows)).unwrap();
        let mut command = focus_validator().unwrap();
        let output = command.args(["--validate-version", "1.0", "--data-file"]).arg(&file).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let verdict = validated(&rows);
    assert!(verdict.contains("Validation succeeded"), "{verdict}");
    for (column, value) in [("ChargeFrequency", "Often"), ("BillingCurrency", "Dollar"), ("SkuPriceId", "")] {
        let mut wrong = rows.clone();
        wrong[0].insert(column.into(), value.into());
        let verdict = validated(&wrong);
        assert!(verdict.contains("Validation failed!") && verdict.contains(column), "{column}: {verdict}");
    }
}

/// The table as the validator reads it, which knows some columns by the names that they had before.
fn with_former_names(rows: &[BTreeMap<String, String>]) -> Vec<u8> {
    const FORMER: [(&str, &str); 5] = [
        ("InvoiceIssuerName", "InvoiceIssuer"),
        ("ProviderName", "Provider"),
        ("PublisherName", "Publisher"),
        ("ResourceId", "ResourceID"),
        ("ChargeCategory", "ChargeType"),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names: Vec<&str> = rows[0].keys().map(String::as_str).chain(FORMER.map(|(_, former)| former)).collect();
    writer.write_record(&names).unwrap();
    for row in rows {
        writer.write_record(row.values().chain(FORMER.iter().map(|(name, _)| &row[*name]))).unwrap();
    }
    writer.into_inner().unwrap()
}

async fn large_export_is_written_in_pieces(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = store.create_tenant(&new_tenant(TenantKind::Customer, Some(issuer)), NOW).await.unwrap().id;
    for number in 0..1_200 {
        let new = NewWalletGrant {
            issuer: Some(issuer),
            tenant,
            amount: Money::from_minor(1, Currency::USD),
            kind: GrantKind::Paid,
            priority: 50,
            expires_at: None,
            reference: number.to_string(),
            reason: None,
        };
        store.grant_money(&new, NOW).await.unwrap();
    }
    let pieces = exported(&store, issuer, ALWAYS, ExportKind::Ledger).await.unwrap();
    assert_eq!(pieces.len(), 4, "the header, and three pieces");
    let rows = pieces.iter().flatten().filter(|byte| **byte == b'\n').count();
    assert_eq!(rows, 1 + 2 * 1_200);
}

async fn books_of_others_are_not_exported(fixture: Fixture) {
    let books = books(&fixture).await;
    let other = root(&books.store).await.id;
    let outside = person_at(&books.store, "eve", other);
    for kind in [ExportKind::Ledger, ExportKind::Invoices(InvoiceSide::Issued), ExportKind::Focus { subtree: true }] {
        let refused = exported(&outside, books.issuer, ALWAYS, kind).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
    }
}
