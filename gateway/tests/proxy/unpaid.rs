//! A tenant that is refused because of an unpaid invoice, and served again once it is paid.

use common::{
    dunning::{CampaignStep, DunningAction, DunningPolicy},
    id::TenantId,
    invoice::{BillingDetails, Counts, Finalized, Invoice, InvoiceLine, LineKind, NewInvoice, tax::TaxRule},
    money::Currency,
    payment::NewPayment,
};

use crate::support::{Fixture, eventually, now, process::Gateway};

/// An invoice of 10.00 USD that the tenant owes.
async fn invoice(fixture: &Fixture, tenant: TenantId) -> Invoice {
    let line = InvoiceLine {
        kind: LineKind::Custom,
        description: "Work".into(),
        meter: None,
        quantity: 1,
        unit_price: None,
        exact: None,
        amount_minor: 1_000,
        tax: TaxRule::NONE,
        period: None,
        coupon: None,
        in_advance: false,
    };
    let new = NewInvoice {
        issuer: fixture.root,
        tenant,
        currency: Currency::USD,
        period: None,
        part: 0,
        last_part: 0,
        plan: None,
        counts: Counts::default(),
        lines: vec![line],
        usage: Vec::new(),
        memo: None,
        input_hash: None,
    };
    match fixture.store.finalize_invoice(&new, now()).await.unwrap() {
        Finalized::New(invoice) | Finalized::Before(invoice) => *invoice,
    }
}

/// Takes the last step against the invoice.
async fn suspend(fixture: &Fixture, invoice: &Invoice) {
    let page = fixture.store.unpaid_invoices(0).await.unwrap();
    let unpaid = page.iter().find(|unpaid| unpaid.id == invoice.id).unwrap();
    let step = CampaignStep { number: 4, at: now(), action: DunningAction::Suspend };
    assert!(fixture.store.take_dunning_step(unpaid, step, None, now()).await.unwrap().is_some());
}

async fn pay(fixture: &Fixture, invoice: &Invoice) {
    let payment = NewPayment {
        invoice: invoice.id,
        amount: invoice.total,
        method: "bank_transfer".into(),
        reference: invoice.id.to_string(),
        received_at: now(),
    };
    fixture.store.record_payment(&payment, now()).await.unwrap();
}

async fn becomes(gateway: &Gateway, secret: &common::key::Secret, status: u16) {
    eventually("the answer", || async { (gateway.status("/", secret).await == status).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_invoice_is_told_with_402_and_where_to_pay_until_it_is_paid() {
    let fixture = Fixture::new().await;
    let policy = DunningPolicy { pay_at: Some("https://pay.example.com/{invoice}".into()), ..DunningPolicy::default() };
    let details = BillingDetails { dunning: Some(policy), ..BillingDetails::default() };
    fixture.store.set_billing_details(fixture.root, &details, now()).await.unwrap();
    let (customer, other) = (fixture.customer(Some("roomy")).await, fixture.customer(Some("roomy")).await);
    let gateway = fixture.gateway().await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let invoice = invoice(&fixture, customer.tenant).await;
    suspend(&fixture, &invoice).await;
    becomes(&gateway, &customer.secret, 402).await;
    let problem: serde_json::Value =
        serde_json::from_str(&gateway.get("/", &customer.secret).await.text().await.unwrap()).unwrap();
    let address = format!("https://pay.example.com/{}", invoice.id);
    let told = (&problem["code"], &problem["invoice"], &problem["pay_at"]);
    assert_eq!(told, (&"invoice_unpaid".into(), &invoice.id.to_string().into(), &address.clone().into()));
    assert!(problem["detail"].as_str().unwrap().ends_with(&address), "{problem}");
    assert_eq!(gateway.status("/", &other.secret).await, 200, "others are served");

    // It is known from the snapshot as well.
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    std::fs::rename(fixture.path("store.db"), fixture.path("elsewhere.db")).unwrap();
    let second = Gateway::start(&fixture.config_file()).await;
    second.wait_until_ready().await;
    assert_eq!(second.status("/", &customer.secret).await, 402);
    std::fs::rename(fixture.path("elsewhere.db"), fixture.path("store.db")).unwrap();

    pay(&fixture, &invoice).await;
    becomes(&second, &customer.secret, 200).await;
}
