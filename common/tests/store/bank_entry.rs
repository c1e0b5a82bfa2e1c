//! Bank statements: each entry counts once, pays what it names, or waits for a person.

use common::{
    bank::{
        BankEntry, BankImport, EntryFilter, EntryStatus, EntryTarget, OpenReason,
        statement::{BankStatement, camt, table, table::TableProfile},
    },
    id::{BankEntryId, TenantId},
    invoice::{Invoice, InvoiceStatus},
    ledger::Account,
    store::{AuditFilter, PageRequest, Store, StoreError},
};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use servers::{Process, eventually};

use crate::{
    fixture::{
        Fixture, NOW, STORE_VARIABLE, assert_conflict, assert_refused, customer, on_both_engines, person_at, root,
    },
    invoice::{bill, finalized, line, usd},
};

on_both_engines!(
    entry_pays_the_invoice_that_it_names,
    entry_counts_once_in_any_order_and_overlap_of_files,
    entry_that_is_not_sure_waits_for_a_person,
    person_assigns_or_ignores_an_open_entry_once,
    reversal_is_told_and_never_paid,
    entries_of_others_are_not_there,
    import_that_is_killed_goes_on_where_it_stopped,
);

/// The environment variable that names the issuer for the helper.
const ISSUER_VARIABLE: &str = "TOLLGATE_TEST_ISSUER";

const EVERYTHING: PageRequest = PageRequest { after: None, limit: 1_000 };

/// A statement with one row for each day, amount, currency and text.
fn statement(rows: &[(&str, &str, &str, &str)]) -> BankStatement {
    let mut text = String::from("date,amount,currency,text\n");
    for (date, amount, currency, reference) in rows {
        let row: [&str; 8] = [date, ",", amount, ",", currency, ",", reference, "\n"];
        text.extend(row);
    }
    let profile = TableProfile { account: Some("DE89370400440532013000".into()), ..TableProfile::default() };
    table::read(text.as_bytes(), &profile).unwrap()
}

fn day(amount: &'static str, text: &'static str) -> (&'static str, &'static str, &'static str, &'static str) {
    ("2026-11-20", amount, "USD", text)
}

/// An issuer with invoices over 10.00 USD each, of a customer of its own each.
async fn issued(store: &Store, count: i64) -> (TenantId, Vec<Invoice>) {
    let issuer = root(store).await.id;
    let mut invoices = Vec::new();
    for _ in 0..count {
        let tenant = customer(store, issuer).await;
        invoices.push(finalized(store, &bill(issuer, tenant, 0, vec![line(1_000, None)])).await);
    }
    (issuer, invoices)
}

async fn import(store: &Store, issuer: TenantId, statement: &BankStatement) -> BankImport {
    store.import_bank_statement(issuer, statement, NOW).await.unwrap()
}

async fn entries(store: &Store, issuer: TenantId, status: Option<EntryStatus>) -> Vec<BankEntry> {
    let found = store.bank_entries(issuer, EntryFilter { status }, EVERYTHING).await.unwrap();
    assert_eq!(store.bank_entry_faults().await.unwrap(), []);
    assert_eq!(store.ledger_faults().await.unwrap(), []);
    assert_eq!(store.wallet_faults().await.unwrap(), []);
    found.items
}

async fn entry_pays_the_invoice_that_it_names(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 5).await;
    let file = statement(&[
        day("10.00", "INV-000001"),
        day("4.00", "inv 2 first part"),
        day("7.50", "INV000002 the rest and more"),
        day("20.00", "INV-000003 and INV-000004"),
        day("-3.00", "a fee"),
    ]);
    let done = import(&store, issuer, &file).await;
    assert_eq!(done, BankImport { recorded: 4, debits: 1, ..BankImport::default() });
    for invoice in &invoices[..4] {
        let after = store.invoice(invoice.id).await.unwrap();
        assert_eq!((after.status, after.open), (InvoiceStatus::Paid, usd(0)), "{}", after.number);
    }
    assert_eq!(store.invoice(invoices[4].id).await.unwrap().open, usd(1_000));
    let wallet = store.wallets(invoices[1].tenant, NOW).await.unwrap();
    assert_eq!(wallet[0].balance, usd(150), "what is more than is open");
    let kept = entries(&store, issuer, None).await;
    let payments = store.payments(invoices[1].id).await.unwrap();
    let told: Vec<_> = payments.iter().map(|payment| (payment.amount, payment.reference.clone())).collect();
    assert_eq!(told, [(usd(400), kept[1].id.to_string()), (usd(600), kept[2].id.to_string())]);
    assert_eq!(payments[0].method, "bank_transfer");
    assert_eq!(payments[0].received_at.to_string(), "2026-11-20T00:00:00Z");
    let uses: Vec<_> = kept[3].uses.iter().map(|used| (used.tenant, used.amount)).collect();
    assert_eq!(uses, [(invoices[2].tenant, usd(1_000)), (invoices[3].tenant, usd(1_000))]);
    let cash = store.trial_balance(issuer, None).await.unwrap();
    let cash = cash.iter().find(|balance| balance.account == Account::Cash).unwrap();
    assert_eq!(cash.amount, usd(4_150), "all that came");
}

async fn entry_counts_once_in_any_order_and_overlap_of_files(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 6).await;
    // Two pairs of rows agree in all, and are two payments each.
    let rows: Vec<_> = (0..12)
        .map(|place| {
            let date = format!("2026-11-{:02}", 1 + place / 4);
            let text = format!("INV-{:06}", 1 + place / 2);
            (date, "5.00", text)
        })
        .collect();
    let file = |days: std::ops::RangeInclusive<usize>| {
        let rows = &rows[(days.start() - 1) * 4..days.end() * 4];
        let rows: Vec<_> =
            rows.iter().map(|(date, amount, text)| (date.as_str(), *amount, "USD", text.as_str())).collect();
        statement(&rows)
    };
    let mut random = StdRng::seed_from_u64(7);
    let mut files = vec![file(1..=3), file(1..=1), file(1..=2), file(2..=3), file(3..=3), file(2..=2)];
    files.shuffle(&mut random);
    let mut recorded = 0;
    for file in &files {
        let (first, second) = tokio::join!(import(&store, issuer, file), import(&store, issuer, file));
        assert_eq!(first.known + first.recorded + second.known + second.recorded, 2 * file.entries.len() as u64);
        recorded += first.recorded + second.recorded;
    }
    assert_eq!(recorded, 12);
    assert_eq!(entries(&store, issuer, None).await.len(), 12);
    for invoice in &invoices {
        assert_eq!(store.invoice(invoice.id).await.unwrap().status, InvoiceStatus::Paid);
        assert_eq!(store.payments(invoice.id).await.unwrap().len(), 2);
    }
    assert_eq!(fixture.number("SELECT COUNT(*) FROM wallet_grants").await, 0);
}

async fn entry_that_is_not_sure_waits_for_a_person(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 3).await;
    store.void_invoice(invoices[2].id, "a test", NOW).await.unwrap();
    let file = statement(&[
        day("10.00", "thank you"),
        day("10.00", "INV-000099"),
        day("10.00", "OTHER-000001"),
        day("15.00", "INV-000001 INV-000002"),
        ("2026-11-20", "10.00", "EUR", "INV-000001"),
        day("10.00", "INV-000003"),
    ]);
    let done = import(&store, issuer, &file).await;
    assert_eq!(done, BankImport { open: 6, ..BankImport::default() });
    let reasons: Vec<_> =
        entries(&store, issuer, Some(EntryStatus::Open)).await.iter().map(|entry| entry.open_reason.unwrap()).collect();
    let expected = [
        OpenReason::NoReference,
        OpenReason::UnknownInvoice,
        OpenReason::NoReference,
        OpenReason::SeveralInvoices,
        OpenReason::CurrencyDiffers,
        OpenReason::InvoiceNotOpen,
    ];
    assert_eq!(reasons, expected);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM payments").await, 0);
    assert_eq!(import(&store, issuer, &file).await.known, 6);
}

async fn person_assigns_or_ignores_an_open_entry_once(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 2).await;
    let file = statement(&[day("12.00", "a"), day("5.00", "b"), day("1.00", "c")]);
    import(&store, issuer, &file).await;
    let open: Vec<BankEntryId> = entries(&store, issuer, None).await.iter().map(|entry| entry.id).collect();
    let (paid, tenant) = (EntryTarget::Invoice(invoices[0].id), EntryTarget::Wallet(invoices[1].tenant));
    for _ in 0..2 {
        let entry = store.assign_bank_entry(open[0], paid, NOW).await.unwrap();
        assert_eq!((entry.status, entry.uses.len()), (EntryStatus::Assigned, 2));
        store.assign_bank_entry(open[1], tenant, NOW).await.unwrap();
        let entry = store.ignore_bank_entry(open[2], "a gift", NOW).await.unwrap();
        assert_eq!((entry.status, entry.reason.as_deref()), (EntryStatus::Ignored, Some("a gift")));
    }
    assert_eq!(store.invoice(invoices[0].id).await.unwrap().status, InvoiceStatus::Paid);
    assert_eq!(store.wallets(invoices[0].tenant, NOW).await.unwrap()[0].balance, usd(200));
    assert_eq!(store.wallets(invoices[1].tenant, NOW).await.unwrap()[0].balance, usd(500));
    assert_conflict(store.assign_bank_entry(open[0], tenant, NOW).await, "only an open entry is decided");
    assert_conflict(store.ignore_bank_entry(open[2], "another", NOW).await, "is ignored");
    assert_refused(store.ignore_bank_entry(open[2], " ", NOW).await, "reason");
    import(&store, issuer, &statement(&[day("3.00", "d")])).await;
    let last = entries(&store, issuer, Some(EntryStatus::Open)).await[0].id;
    assert_conflict(store.assign_bank_entry(last, paid, NOW).await, "assign the entry to the wallet of");
    let stranger = EntryTarget::Wallet(root(&store).await.id);
    assert_refused(store.assign_bank_entry(last, stranger, NOW).await, "does not issue invoices to");
    for (action, count) in
        [("bank_statement.import", 2), ("bank_entry.assign", 2), ("bank_entry.ignore", 1), ("payment.record", 1)]
    {
        let rows = store.audit_log(&AuditFilter::default(), EVERYTHING).await.unwrap().items;
        assert_eq!(rows.iter().filter(|row| row.action == action).count(), count, "{action}");
    }
}

async fn reversal_is_told_and_never_paid(fixture: Fixture) {
    const FILE: &str = r#"<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>
        <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>
        <Ntry><Amt Ccy="USD">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
        <BookgDt><Dt>2026-11-20</Dt></BookgDt><AcctSvcrRef>A1</AcctSvcrRef>
        <NtryDtls><TxDtls><RmtInf><Ustrd>INV-000001</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
        <Ntry><Amt Ccy="USD">10.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd><Sts><Cd>BOOK</Cd></Sts>
        <BookgDt><Dt>2026-11-20</Dt></BookgDt><AcctSvcrRef>A2</AcctSvcrRef>
        <NtryDtls><TxDtls><RmtInf><Ustrd>INV-000001</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
        </Stmt></BkToCstmrStmt></Document>"#;
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 1).await;
    let file = camt::read(FILE.as_bytes()).unwrap();
    let done = import(&store, issuer, &file).await;
    assert_eq!(done, BankImport { recorded: 1, open: 1, reversals: 1, ..BankImport::default() });
    let reversal = entries(&store, issuer, Some(EntryStatus::Open)).await.remove(0);
    assert_eq!(reversal.open_reason, Some(OpenReason::Reversal));
    let target = EntryTarget::Invoice(invoices[0].id);
    assert_conflict(store.assign_bank_entry(reversal.id, target, NOW).await, "brings no payment");
    store.ignore_bank_entry(reversal.id, "refunded, credit note CN-1", NOW).await.unwrap();
    assert_eq!(store.payments(invoices[0].id).await.unwrap().len(), 1);
    assert_eq!(entries(&store, issuer, Some(EntryStatus::Open)).await, []);
}

async fn entries_of_others_are_not_there(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 1).await;
    let (other, others) = issued(&store, 1).await;
    let file = statement(&[day("10.00", "INV-000001"), day("1.00", "a")]);
    import(&store, issuer, &file).await;
    assert_eq!(store.invoice(others[0].id).await.unwrap().open, usd(1_000), "a number of another issuer");
    let open = entries(&store, issuer, Some(EntryStatus::Open)).await[0].id;
    let outside = person_at(&store, "eve", other);
    let not_found = |error: StoreError| assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    not_found(outside.import_bank_statement(issuer, &file, NOW).await.unwrap_err());
    not_found(outside.bank_entries(issuer, EntryFilter::default(), EVERYTHING).await.unwrap_err());
    not_found(outside.bank_entry(open).await.unwrap_err());
    let target = EntryTarget::Invoice(invoices[0].id);
    not_found(outside.assign_bank_entry(open, target, NOW).await.unwrap_err());
    not_found(outside.ignore_bank_entry(open, "mine", NOW).await.unwrap_err());
    let theirs = EntryTarget::Invoice(others[0].id);
    assert_refused(store.assign_bank_entry(open, theirs, NOW).await, "is not issued by");
    // The same account of two issuers: each has entries of its own.
    assert_eq!(import(&outside, other, &file).await.recorded, 1);
}

/// A statement over a payment of 1.00 USD each of ten invoices, and 10 of nobody knows what.
fn long_statement() -> BankStatement {
    let rows: Vec<_> = (0..110)
        .map(|place| {
            let text = if place % 11 == 10 {
                format!("payment {place}")
            } else {
                format!("INV-{:06} {place}", 1 + place % 11)
            };
            ("2026-11-20", "1.00", "USD", text)
        })
        .collect();
    let rows: Vec<_> =
        rows.iter().map(|(date, amount, currency, text)| (*date, *amount, *currency, text.as_str())).collect();
    statement(&rows)
}

async fn import_that_is_killed_goes_on_where_it_stopped(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, invoices) = issued(&store, 10).await;
    for enough in [15, 60] {
        let mut command = fixture.helper("bank_entry::import_until_killed");
        command.env(ISSUER_VARIABLE, issuer.to_string());
        let mut process = Process::captured("helper", command).unwrap();
        process.start().unwrap();
        eventually("enough is imported", async || fixture.number("SELECT COUNT(*) FROM bank_entries").await >= enough)
            .await;
        process.kill().unwrap();
        let recorded = entries(&store, issuer, Some(EntryStatus::Recorded)).await.len();
        let paid = fixture.number("SELECT COUNT(*) FROM payments").await;
        assert_eq!(i64::try_from(recorded).unwrap(), paid, "an entry and its payment are written together");
    }
    let done = import(&store, issuer, &long_statement()).await;
    assert_eq!(done.known + done.recorded + done.open, 110);
    assert_eq!(entries(&store, issuer, Some(EntryStatus::Open)).await.len(), 10);
    for invoice in &invoices {
        assert_eq!(store.invoice(invoice.id).await.unwrap().status, InvoiceStatus::Paid);
    }
    assert_eq!(fixture.number("SELECT COUNT(*) FROM payments").await, 100);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM wallet_grants").await, 0);
}

#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn import_until_killed() {
    let store = Store::open(&std::env::var(STORE_VARIABLE).unwrap()).await.unwrap();
    let issuer = std::env::var(ISSUER_VARIABLE).unwrap().parse().unwrap();
    import(&store, issuer, &long_statement()).await;
    std::future::pending::<()>().await;
}
