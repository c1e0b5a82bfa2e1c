//! Things of a tenant that operations are about, made as the path needs them.

use common::{
    admin::{NewAdminKey, Role::Viewer},
    api::invoice::{NewInvoiceBody, NewLineBody, NewPaymentBody},
    bank::{
        EntryFilter, EntryStatus,
        statement::{table, table::TableProfile},
    },
    id::{BankEntryId, InvoiceId, MessageId, PaymentId, PayoutId, TenantId, WebhookEndpointId},
    invoice::{Address, BilledPeriod, BillingDetails, Finalized, NewCreditNote, NewInvoice},
    key::NewKey,
    money::{Currency, Money},
    outbox::MessageFilter,
    payment::{PayoutStatus, ToldPayout},
    quota::credit::TopUp,
    store::PageRequest,
    time::{Clock as _, SystemClock, Window},
    usage::event::UsageEvent,
    wallet::{AutoTopUp, GrantKind, NewWalletGrant, WalletPolicy},
    webhook::NewEndpoint,
};

use super::super::{fixture::Fixture, subscriptions};
use crate::deployment::eventually;

/// Gives the partner credit: what it grants moves from there.
async fn sell_credit_to_partner(fixture: &Fixture) {
    let top_up = TopUp {
        reference: "walk".into(),
        tenant: fixture.partner,
        meter: "tokens".into(),
        units: 1_000_000,
        reason: None,
        added_at: SystemClock.now(),
    };
    // A second time, it changes nothing.
    fixture.store.add_credit(&top_up).await.unwrap();
}

/// Records the events that are corrected.
async fn report_usage(fixture: &Fixture, target: TenantId) {
    let event = |id: &str| UsageEvent {
        tenant: target,
        source: format!("/walk/{target}"),
        id: id.into(),
        at: None,
        meter: "tokens".into(),
        units: 1,
        mode: common::key::Mode::Live,
    };
    fixture.store.record_usage_events(&[event("amend"), event("revert")], SystemClock.now()).await.unwrap();
}

/// A grant of the tenant.
async fn grant_money(fixture: &Fixture, target: TenantId) -> String {
    let new = NewWalletGrant {
        issuer: None,
        tenant: target,
        amount: Money::from_minor(1, Currency::USD),
        kind: GrantKind::Paid,
        priority: 50,
        expires_at: None,
        reference: "walk".into(),
        reason: None,
    };
    fixture.store.grant_money(&new, SystemClock.now()).await.unwrap().id.to_string()
}

/// A top-up of the tenant that can be confirmed, or one that can be cancelled: of wallets of their
/// own.
async fn top_up(fixture: &Fixture, target: TenantId, path: &str) -> String {
    let currency = if path.ends_with("/confirm") { Currency::JPY } else { Currency::EUR };
    let money = |minor| Money::from_minor(minor, currency);
    let top_up = AutoTopUp { threshold: money(5), target: money(9), per_day: 100 };
    let policy = WalletPolicy { overdraft: money(0), top_up: Some(top_up) };
    let now = SystemClock.now();
    fixture.store.set_wallet_policy((None, target, currency), &policy, now).await.unwrap();
    fixture.store.request_top_ups(now).await.unwrap();
    let page = PageRequest { after: None, limit: 1_000 };
    let all = fixture.store.wallet_top_ups(target, page).await.unwrap().items;
    all.iter().rfind(|one| one.amount.currency() == currency).unwrap().id.to_string()
}

/// Cancels the top-ups that the tenant itself has asked for: one is open at most.
async fn cancel_top_ups(fixture: &Fixture, target: TenantId) {
    let (now, page) = (SystemClock.now(), PageRequest { after: None, limit: 1_000 });
    for one in fixture.store.wallet_top_ups(target, page).await.unwrap().items {
        if one.amount.currency().code() == "SEK" {
            fixture.store.cancel_top_up(target, one.id, now).await.unwrap();
        }
    }
}

/// The endpoint of the tenant. Nothing is sent to its address.
async fn endpoint_of(fixture: &Fixture, tenant: TenantId) -> WebhookEndpointId {
    let known = fixture.store.webhook_endpoints(tenant).await.unwrap();
    if let Some(endpoint) = known.iter().find(|endpoint| endpoint.name == "walk" && endpoint.disabled.is_none()) {
        return endpoint.id;
    }
    let new = NewEndpoint {
        tenant,
        name: "walk".into(),
        url: "https://192.0.2.1/hooks".parse().unwrap(),
        types: Vec::new(),
        below: false,
        pepper_id: Fixture::pepper().id().into(),
    };
    fixture.store.create_webhook_endpoint(&new, SystemClock.now()).await.unwrap().id
}

/// A message to that endpoint.
async fn message_of(fixture: &Fixture, tenant: TenantId) -> MessageId {
    let endpoint = endpoint_of(fixture, tenant).await;
    let filter = MessageFilter { target: Some(endpoint.to_string()), ..MessageFilter::default() };
    let page = PageRequest { after: None, limit: 1 };
    let newest = async || fixture.store.messages(&filter, page).await.unwrap().items.pop().map(|message| message.id);
    if let Some(message) = newest().await {
        return message;
    }
    let (secret, now) = (common::key::Secret::generate(common::key::Mode::Live), SystemClock.now());
    let key = NewKey::new(tenant, "expiring", &secret, &Fixture::pepper());
    let key = NewKey { expires_at: Some(now.plus_seconds(3_600)), ..key };
    fixture.store.create_key(&key, now).await.unwrap();
    fixture.store.tell_expiring_keys(now).await.unwrap();
    // The serving process may be faster than this one.
    fixture.store.tell_events(1_000, false, now).await.unwrap();
    eventually("there is a message", newest).await
}

/// An invoice that the tenant owes to itself, so that it is both of its sides.
pub(super) async fn invoice_of(fixture: &Fixture, tenant: TenantId) -> InvoiceId {
    let line = NewLineBody { description: "Work".into(), amount: "10.00".into(), meter: None };
    let body = NewInvoiceBody { issuer: None, tenant, currency: Currency::USD, lines: vec![line], memo: None };
    let now = SystemClock.now();
    // Each has a period of its own.
    let window = Window { start: now, end: now.plus_seconds(1) };
    let period = Some(BilledPeriod { window, zone: "UTC".into() });
    let new = NewInvoice { period, ..body.invoice(tenant).unwrap() };
    match fixture.store.finalize_invoice(&new, now).await.unwrap() {
        Finalized::New(invoice) | Finalized::Before(invoice) => invoice.id,
    }
}

/// Gives the tenant what electronic invoices ask for.
async fn have_address(fixture: &Fixture, tenant: TenantId) {
    let address =
        Address { lines: vec!["Street 1".into()], postal_code: None, city: "Berlin".into(), country: "DE".into() };
    let tax_id = Some("DE123456788".into());
    let details = BillingDetails { address: Some(address), tax_id, ..BillingDetails::default() };
    fixture.store.set_billing_details(tenant, &details, SystemClock.now()).await.unwrap();
}

/// A payment of such an invoice, all of which may go back.
async fn payment_of(fixture: &Fixture, tenant: TenantId) -> PaymentId {
    let (invoice, now) = (invoice_of(fixture, tenant).await, SystemClock.now());
    let reference = invoice.to_string();
    let body = NewPaymentBody { amount: "10.00".into(), method: None, reference, received_at: None };
    let new = body.payment(invoice, Currency::USD, now).unwrap();
    let payment = fixture.store.record_payment(&new, now).await.unwrap().id;
    let all = NewCreditNote { lines: Vec::new(), reason: "a test".into() };
    fixture.store.issue_credit_note(invoice, &all, now).await.unwrap();
    payment
}

/// An open entry of a statement of the tenant's account.
async fn bank_entry_of(fixture: &Fixture, tenant: TenantId) -> BankEntryId {
    let now = SystemClock.now();
    let table = format!("account,date,amount,currency,text\nacc,2026-12-01,1.00,USD,{}\n", now.0);
    let statement = table::read(table.as_bytes(), &TableProfile::default()).unwrap();
    fixture.store.import_bank_statement(tenant, &statement, now).await.unwrap();
    let page = PageRequest { after: None, limit: 1_000 };
    let filter = EntryFilter { status: Some(EntryStatus::Open) };
    fixture.store.bank_entries(tenant, filter, page).await.unwrap().items.pop().unwrap().id
}

/// A payout to the tenant.
async fn payout_of(fixture: &Fixture, tenant: TenantId) -> PayoutId {
    let now = SystemClock.now();
    let told = ToldPayout {
        id: "po_walk".into(),
        amount: Money::from_minor(1, Currency::USD),
        status: PayoutStatus::InTransit,
        arrives_at: now,
        created_at: now,
        items: None,
    };
    fixture.store.follow_payout(tenant, "stripe", &told, now).await.unwrap().id
}

/// The path, with what is the tenant's put in.
pub(super) async fn path_for(fixture: &Fixture, path: &str, target: TenantId) -> String {
    let now = SystemClock.now();
    if path.contains("/credit") {
        sell_credit_to_partner(fixture).await;
    }
    if path.contains("/subscriptions/") || path.contains("/add-ons") || path.contains("/coupons") {
        subscriptions::prepare(fixture, target, path).await;
    }
    if path.ends_with("/plan-choice") {
        let (root, plan) = (Some(fixture.root), "starter".parse().unwrap());
        fixture.store.set_plan_self_service(root, &plan, true, now).await.unwrap();
    }
    if path.ends_with("/wallet/top-ups") {
        cancel_top_ups(fixture, target).await;
    }
    if path.contains("/usage/events/") {
        report_usage(fixture, target).await;
    }
    if path.contains("{endpoint}") {
        let endpoint = endpoint_of(fixture, target).await;
        return path.replace("{tenant}", &target.to_string()).replace("{endpoint}", &endpoint.to_string());
    }
    if path.contains("{message}") {
        let message = message_of(fixture, target).await;
        return path.replace("{tenant}", &target.to_string()).replace("{message}", &message.to_string());
    }
    if path.contains("{grant}") {
        let grant = grant_money(fixture, target).await;
        return path.replace("{tenant}", &target.to_string()).replace("{grant}", &grant);
    }
    if path.contains("{payout}") {
        let payout = payout_of(fixture, target).await;
        return path.replace("{tenant}", &target.to_string()).replace("{payout}", &payout.to_string());
    }
    if path.contains("{top_up}") {
        let top_up = top_up(fixture, target, path).await;
        return path.replace("{tenant}", &target.to_string()).replace("{top_up}", &top_up);
    }
    if path.contains("{key}") {
        let secret = common::key::Secret::generate(common::key::Mode::Live);
        let new = NewKey::new(target, "k", &secret, &Fixture::pepper());
        return path.replace("{key}", &fixture.store.create_key(&new, now).await.unwrap().id.to_string());
    }
    if path.contains("{admin_key}") {
        let secret = common::admin::AdminSecret::generate();
        let new = NewAdminKey {
            tenant: target,
            name: "k".into(),
            role: Viewer,
            scopes: Vec::new(),
            hash: Fixture::pepper().hash_admin(&secret),
            pepper_id: Fixture::pepper().id().into(),
            hint: secret.hint().into(),
            expires_at: None,
        };
        return path.replace("{admin_key}", &fixture.store.create_admin_key(&new, now).await.unwrap().id.to_string());
    }
    if path.ends_with("/xml") {
        have_address(fixture, target).await;
    }
    if path.contains("/statement/") {
        return path.replace("{tenant}", &target.to_string()) + "?currency=USD";
    }
    if path.contains("{credit_note}") || path.contains("/payments/{payment}") {
        let payment = payment_of(fixture, target).await;
        let invoice = fixture.store.payment(payment).await.unwrap().invoice;
        let note = fixture.store.credit_notes(invoice).await.unwrap().remove(0).id;
        let path = path.replace("{invoice}", &invoice.to_string()).replace("{payment}", &payment.to_string());
        return path.replace("{credit_note}", &note.to_string());
    }
    if path.contains("{entry}") {
        return path.replace("{entry}", &bank_entry_of(fixture, target).await.to_string());
    }
    if path.contains("{invoice}") {
        return path.replace("{invoice}", &invoice_of(fixture, target).await.to_string());
    }
    if path.contains("{payment}") {
        return path.replace("{payment}", &payment_of(fixture, target).await.to_string());
    }
    // What one walker takes away, another cannot redeem.
    let coupon = if path.contains("{tenant}") { "GONE" } else { "WALK" };
    let path = path.replace("{scope}", "own");
    path.replace("{tenant}", &target.to_string()).replace("{plan}", "growth").replace("{coupon}", coupon)
}
