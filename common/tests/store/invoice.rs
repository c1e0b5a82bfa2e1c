//! Invoices: numbered without gaps, issued once, frozen, and in agreement with the ledger.

use common::{
    id::{InvoiceId, TenantId},
    invoice::{
        BilledPeriod, BillingDetails, Counts, CreditNote, Finalized, Invoice, InvoiceFilter, InvoiceLine,
        InvoiceStatus, LineKind, NewCreditNote, NewInvoice,
        tax::{TaxRule, Treatment},
    },
    ledger::Account,
    money::{Currency, Money},
    payment::NewPayment,
    store::{Store, StoreError},
    tenant::TenantKind,
    time::Window,
    wallet::{GrantKind, NewWalletGrant},
};

use crate::fixture::{
    Fixture, NOW, PAGE, assert_conflict, assert_refused, below, customer, on_both_engines, person_at, root,
};

on_both_engines!(
    invoice_has_the_next_number_its_tax_and_a_posting,
    period_is_invoiced_once_by_however_many,
    finalized_invoice_never_changes,
    credit_notes_take_back_no_more_than_was_charged,
    credit_note_of_a_paid_invoice_can_be_refunded,
    payment_counts_once_and_never_exceeds_what_is_open,
    void_invoice_makes_room_for_another,
    invoice_uses_the_wallet_and_a_void_one_gives_it_back,
    written_off_invoice_is_closed,
    invoices_of_others_are_not_there,
    one_off_invoice_is_for_a_tenant_below,
    invoices_that_do_not_agree_are_found,
);

const DAY: i64 = 86_400;

pub(crate) fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD)
}

pub(crate) fn line(minor: i64, meter: Option<&str>) -> InvoiceLine {
    InvoiceLine {
        kind: LineKind::Custom,
        description: "A line".into(),
        meter: meter.map(ToOwned::to_owned),
        quantity: 1,
        unit_price: None,
        exact: None,
        amount_minor: minor,
        tax: TaxRule::NONE,
        period: None,
        coupon: None,
        in_advance: false,
    }
}

pub(crate) fn bill(issuer: TenantId, tenant: TenantId, month: i64, lines: Vec<InvoiceLine>) -> NewInvoice {
    let start = NOW.plus_seconds(month * 30 * DAY);
    let window = Window { start, end: start.plus_seconds(30 * DAY) };
    NewInvoice {
        issuer,
        tenant,
        currency: Currency::USD,
        period: Some(BilledPeriod { window, zone: "UTC".into() }),
        part: 0,
        last_part: 0,
        plan: None,
        counts: Counts::default(),
        lines,
        usage: Vec::new(),
        memo: None,
        input_hash: None,
    }
}

pub(crate) async fn finalized(store: &Store, new: &NewInvoice) -> Invoice {
    match store.finalize_invoice(new, NOW).await.unwrap() {
        Finalized::New(invoice) => *invoice,
        Finalized::Before(invoice) => panic!("{} was there before", invoice.number),
    }
}

pub(crate) fn exclusive(percent: &str) -> TaxRule {
    TaxRule { treatment: Treatment::Exclusive, percent: percent.parse().unwrap() }
}

pub(crate) async fn with_tax(store: &Store, tenant: TenantId) {
    let details = BillingDetails {
        legal_name: Some("Acme GmbH".into()),
        tax: Some(exclusive("19")),
        tax_of_meters: [("books".to_owned(), exclusive("7"))].into(),
        ..BillingDetails::default()
    };
    store.set_billing_details(tenant, &details, NOW).await.unwrap();
}

async fn two(store: &Store) -> (TenantId, TenantId) {
    let issuer = root(store).await.id;
    (issuer, customer(store, issuer).await)
}

pub(crate) async fn balance(store: &Store, tenant: TenantId, account: Account) -> i64 {
    let balances = store.balances(tenant).await.unwrap();
    balances.iter().find(|balance| balance.account == account).map_or(0, |balance| balance.amount.minor())
}

pub(crate) async fn credit(
    store: &Store,
    invoice: InvoiceId,
    lines: &[(usize, i64)],
) -> Result<CreditNote, StoreError> {
    let new = NewCreditNote { lines: lines.to_vec(), reason: "goodwill".into() };
    store.issue_credit_note(invoice, &new, NOW).await
}

pub(crate) fn transfer(invoice: InvoiceId, minor: i64, reference: &str) -> NewPayment {
    NewPayment {
        invoice,
        amount: usd(minor),
        method: "bank_transfer".into(),
        reference: reference.into(),
        received_at: NOW,
    }
}

async fn invoice_has_the_next_number_its_tax_and_a_posting(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    with_tax(&store, tenant).await;
    let lines = vec![line(33, None), line(33, None), line(33, None), line(10_005, Some("books"))];
    let invoice = finalized(&store, &bill(issuer, tenant, 0, lines)).await;
    assert_eq!((invoice.number.as_str(), invoice.status), ("INV-000001", InvoiceStatus::Finalized));
    assert_eq!(invoice.content.buyer.name, "Acme GmbH");
    let taxes: Vec<_> = invoice.content.taxes.iter().map(|tax| (tax.net_minor, tax.tax_minor)).collect();
    assert_eq!(taxes, [(99, 19), (10_005, 700)], "rounded once for each rate");
    assert_eq!((invoice.total, invoice.open), (usd(10_823), usd(10_823)));
    assert_eq!(invoice.due_at, NOW.plus_seconds(14 * DAY));
    assert_eq!(balance(&store, tenant, Account::Receivable).await, 10_823);
    assert_eq!(balance(&store, tenant, Account::Revenue).await, -10_104);
    assert_eq!(balance(&store, tenant, Account::Tax).await, -719);
    assert_eq!(store.invoice(invoice.id).await.unwrap(), invoice);
    let next = finalized(&store, &bill(issuer, tenant, 1, vec![line(0, None)])).await;
    assert_eq!((next.number.as_str(), next.status), ("INV-000002", InvoiceStatus::Paid), "nothing is to be paid");
}

async fn period_is_invoiced_once_by_however_many(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let mut tenants = Vec::new();
    for _ in 0..3 {
        tenants.push(customer(&store, issuer).await);
    }
    let mut runs = tokio::task::JoinSet::new();
    for run in 0..4 {
        for place in 0..3 {
            let (store, tenant) = (store.clone(), tenants[(place + run) % 3]);
            let new = bill(issuer, tenant, 0, vec![line(100, None)]);
            runs.spawn(async move { store.finalize_invoice(&new, NOW).await.unwrap() });
        }
    }
    let done = runs.join_all().await;
    assert_eq!(done.iter().filter(|one| matches!(one, Finalized::New(_))).count(), 3);
    let found = store.invoices(InvoiceFilter::default(), PAGE).await.unwrap().items;
    let numbers: Vec<_> = found.iter().map(|invoice| invoice.number.as_str()).collect();
    assert_eq!(numbers, ["INV-000001", "INV-000002", "INV-000003"], "no gap");
}

async fn finalized_invoice_never_changes(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let invoice = finalized(&store, &bill(issuer, tenant, 0, vec![line(100, None)])).await;
    credit(&store, invoice.id, &[(0, 40)]).await.unwrap();
    store.record_payment(&transfer(invoice.id, 10, "a"), NOW).await.unwrap();
    for statement in [
        "UPDATE invoices SET total = 1",
        "UPDATE invoices SET content = '{}'",
        "UPDATE invoices SET number = 'X'",
        "DELETE FROM invoices",
        "UPDATE credit_notes SET total = 1",
        "DELETE FROM credit_notes",
        "UPDATE payments SET amount = 1",
        "DELETE FROM payments",
    ] {
        let error = fixture.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains("never change"), "{statement}: {error}");
    }
    let details = BillingDetails { legal_name: Some("New name".into()), ..BillingDetails::default() };
    store.set_billing_details(tenant, &details, NOW).await.unwrap();
    assert_eq!(store.invoice(invoice.id).await.unwrap().content, invoice.content);
}

async fn credit_notes_take_back_no_more_than_was_charged(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    with_tax(&store, tenant).await;
    let lines = vec![line(1_000, None), line(1_000, None), line(500, Some("books"))];
    let invoice = finalized(&store, &bill(issuer, tenant, 0, lines)).await;
    let first = credit(&store, invoice.id, &[(0, 333)]).await.unwrap();
    assert_eq!((first.number.as_str(), first.total), ("INV-CN-000001", usd(333 + 63)));
    assert_conflict(credit(&store, invoice.id, &[(0, 668)]).await, "6.67 USD of line 0 is left");
    assert_refused(credit(&store, invoice.id, &[(3, 1)]).await, "lines 0 to 2");
    assert_refused(credit(&store, invoice.id, &[(0, 0)]).await, "not above zero");
    assert_refused(credit(&store, invoice.id, &[(1, 1), (1, 1)]).await, "named twice");
    // The rest takes all of the tax that is left: 335.00 never stands against 334.99.
    let rest = credit(&store, invoice.id, &[]).await.unwrap();
    assert_eq!(first.total.minor() + rest.total.minor(), invoice.total.minor());
    assert_conflict(credit(&store, invoice.id, &[]).await, "nothing of the invoice is left");
    let closed = store.invoice(invoice.id).await.unwrap();
    assert_eq!((closed.status, closed.open), (InvoiceStatus::Paid, usd(0)));
    for account in [Account::Receivable, Account::Revenue, Account::Tax] {
        assert_eq!(balance(&store, tenant, account).await, 0);
    }
}

async fn credit_note_of_a_paid_invoice_can_be_refunded(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let invoice = finalized(&store, &bill(issuer, tenant, 0, vec![line(1_000, None)])).await;
    let paid = store.record_payment(&transfer(invoice.id, 1_000, "a"), NOW).await.unwrap();
    assert_conflict(store.refund_payment(paid.id, usd(1), "back", NOW).await, "0.00 USD of");
    credit(&store, invoice.id, &[(0, 400)]).await.unwrap();
    assert_eq!(store.invoice(invoice.id).await.unwrap().open, usd(-400));
    assert_conflict(store.refund_payment(paid.id, usd(401), "back", NOW).await, "4.00 USD of");
    let refund = store.refund_payment(paid.id, usd(300), "back", NOW).await.unwrap();
    assert_eq!(store.refund_payment(paid.id, usd(300), "back", NOW).await.unwrap(), refund, "again changes nothing");
    assert_conflict(store.refund_payment(paid.id, usd(101), "more", NOW).await, "1.00 USD of");
    assert_eq!(balance(&store, tenant, Account::Receivable).await, -100);
    assert_eq!(balance(&store, tenant, Account::Cash).await, 700);
}

async fn payment_counts_once_and_never_exceeds_what_is_open(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let invoice = finalized(&store, &bill(issuer, tenant, 0, vec![line(1_000, None)])).await;
    let mut transfers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        transfers.spawn(async move { store.record_payment(&transfer(invoice.id, 600, "a"), NOW).await.unwrap().id });
    }
    let ids = transfers.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]), "one payment");
    assert_conflict(store.record_payment(&transfer(invoice.id, 601, "a"), NOW).await, "another payment");
    assert_conflict(store.record_payment(&transfer(invoice.id, 401, "b"), NOW).await, "4.00 USD of it is open");
    assert_refused(store.record_payment(&transfer(invoice.id, 0, "b"), NOW).await, "amount: ");
    let euros = NewPayment { amount: Money::from_minor(1, Currency::EUR), ..transfer(invoice.id, 1, "b") };
    assert_refused(store.record_payment(&euros, NOW).await, "is owed in USD");
    store.record_payment(&transfer(invoice.id, 400, "b"), NOW).await.unwrap();
    let paid = store.invoice(invoice.id).await.unwrap();
    assert_eq!((paid.status, paid.open), (InvoiceStatus::Paid, usd(0)));
    assert_conflict(store.record_payment(&transfer(invoice.id, 1, "c"), NOW).await, "is paid");
}

async fn void_invoice_makes_room_for_another(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let new = bill(issuer, tenant, 0, vec![line(1_000, None)]);
    let invoice = finalized(&store, &new).await;
    assert_refused(store.void_invoice(invoice.id, " ", NOW).await, "reason: ");
    let void = store.void_invoice(invoice.id, "wrong plan", NOW).await.unwrap();
    assert_eq!((void.status, void.open), (InvoiceStatus::Void, usd(0)));
    assert_eq!(store.void_invoice(invoice.id, "again", NOW).await.unwrap(), void);
    assert_eq!(balance(&store, tenant, Account::Receivable).await, 0);
    assert_conflict(credit(&store, invoice.id, &[]).await, "is void");
    let again = finalized(&store, &new).await;
    assert_eq!(again.number, "INV-000002");
    store.record_payment(&transfer(again.id, 1, "a"), NOW).await.unwrap();
    assert_conflict(store.void_invoice(again.id, "wrong", NOW).await, "0.01 USD of");
}

async fn invoice_uses_the_wallet_and_a_void_one_gives_it_back(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let grant = NewWalletGrant {
        issuer: Some(issuer),
        tenant,
        amount: usd(4_000),
        kind: GrantKind::Paid,
        priority: 50,
        expires_at: None,
        reference: "order 1".into(),
        reason: None,
    };
    store.grant_money(&grant, NOW).await.unwrap();
    let invoice = finalized(&store, &bill(issuer, tenant, 0, vec![line(10_000, None)])).await;
    assert_eq!((invoice.credit_used, invoice.open), (usd(4_000), usd(6_000)), "credit of 40 pays 40 of 100");
    assert_eq!(balance(&store, tenant, Account::Receivable).await, 6_000);
    assert_eq!(balance(&store, tenant, Account::Credit).await, 0);
    store.void_invoice(invoice.id, "wrong", NOW).await.unwrap();
    assert_eq!(balance(&store, tenant, Account::Credit).await, -4_000);
    let small = finalized(&store, &bill(issuer, tenant, 0, vec![line(1_500, None)])).await;
    assert_eq!((small.status, small.open, small.credit_used), (InvoiceStatus::Paid, usd(0), usd(1_500)));
    assert_eq!(balance(&store, tenant, Account::Credit).await, -2_500);
    assert_eq!(store.invoice_faults().await.unwrap(), []);
    assert!(store.wallet_faults().await.unwrap().is_empty());
}

async fn written_off_invoice_is_closed(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let invoice = finalized(&store, &bill(issuer, tenant, 0, vec![line(1_000, None)])).await;
    store.record_payment(&transfer(invoice.id, 300, "a"), NOW).await.unwrap();
    let closed = store.write_off_invoice(invoice.id, "insolvent", NOW).await.unwrap();
    assert_eq!((closed.status, closed.open), (InvoiceStatus::Uncollectible, usd(0)));
    assert_eq!(balance(&store, tenant, Account::WriteOff).await, 700);
    assert_eq!(balance(&store, tenant, Account::Receivable).await, 0);
    assert_eq!(store.write_off_invoice(invoice.id, "again", NOW).await.unwrap(), closed);
    assert_conflict(store.record_payment(&transfer(invoice.id, 1, "b"), NOW).await, "is uncollectible");
    assert_conflict(store.void_invoice(invoice.id, "x", NOW).await, "was given up");
}

async fn invoices_of_others_are_not_there(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let reseller = below(&store, TenantKind::Reseller, issuer).await;
    let (own, other) = (customer(&store, reseller).await, customer(&store, issuer).await);
    let wholesale = finalized(&store, &bill(issuer, reseller, 0, vec![line(100, None)])).await;
    let retail = finalized(&store, &bill(reseller, own, 0, vec![line(300, None)])).await;
    let foreign = finalized(&store, &bill(issuer, other, 0, vec![line(500, None)])).await;
    assert_eq!((wholesale.number.as_str(), retail.number.as_str()), ("INV-000001", "INV-000001"), "a series each");
    let ids = async |tenant| {
        let page = person_at(&store, "jane", tenant).invoices(InvoiceFilter::default(), PAGE).await.unwrap();
        page.items.into_iter().map(|invoice| invoice.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(issuer).await, [wholesale.id, retail.id, foreign.id]);
    assert_eq!(ids(reseller).await, [wholesale.id, retail.id]);
    assert_eq!(ids(own).await, [retail.id], "a customer does not see what its reseller pays");
    let at_own = person_at(&store, "jane", own);
    for id in [wholesale.id, foreign.id] {
        for error in [
            at_own.invoice(id).await.unwrap_err(),
            at_own.void_invoice(id, "x", NOW).await.unwrap_err(),
            at_own.record_payment(&transfer(id, 1, "a"), NOW).await.unwrap_err(),
            credit(&at_own, id, &[]).await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
        }
    }
}

async fn one_off_invoice_is_for_a_tenant_below(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let one_off = |issuer, tenant, lines| NewInvoice { period: None, ..bill(issuer, tenant, 0, lines) };
    let first = finalized(&store, &one_off(issuer, tenant, vec![line(5, None)])).await;
    let second = finalized(&store, &one_off(issuer, tenant, vec![line(5, None)])).await;
    assert_ne!(first.id, second.id, "two of them are two");
    assert_refused(store.finalize_invoice(&one_off(tenant, issuer, vec![line(5, None)]), NOW).await, "tenant: ");
    assert_refused(store.finalize_invoice(&one_off(issuer, issuer, vec![line(5, None)]), NOW).await, "tenant: ");
    let nameless = vec![InvoiceLine { description: " ".into(), ..line(5, None) }];
    assert_refused(store.finalize_invoice(&one_off(issuer, tenant, nameless), NOW).await, "lines[0].description: ");
    let huge = vec![line(i64::MAX, None), line(1, None)];
    assert_refused(store.finalize_invoice(&one_off(issuer, tenant, huge), NOW).await, "lines: amount is too large");
    assert_eq!(store.invoices(InvoiceFilter::default(), PAGE).await.unwrap().items.len(), 2, "nothing half-done");
}

async fn invoices_that_do_not_agree_are_found(fixture: Fixture) {
    let store = fixture.store().await;
    let (issuer, tenant) = two(&store).await;
    let invoice = finalized(&store, &bill(issuer, tenant, 0, vec![line(1_000, None)])).await;
    assert_eq!(store.invoice_faults().await.unwrap(), []);
    fixture.execute("UPDATE invoices SET open = 7").await.unwrap();
    fixture.execute("UPDATE number_series SET last_number = 2").await.unwrap();
    let payment = "INSERT INTO payments (id, issuer_id, tenant_id, invoice_id, currency, amount, method, reference, \
        received_at, recorded_at) SELECT 'pay_00000000000000000000000000', issuer_id, tenant_id, id, 'USD', 5, 'x', \
        'y', 0, 0 FROM invoices";
    fixture.execute(payment).await.unwrap();
    let faults = store.invoice_faults().await.unwrap();
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with(&format!("0.07 USD of {} is open", invoice.id)), "{told:?}");
    assert!(told[1].contains("adds -0.05 USD to what is owed, and the ledger has 0.00 USD"), "{told:?}");
    assert!(told[2].contains("has given the number 2 and has 1 documents"), "{told:?}");
}
