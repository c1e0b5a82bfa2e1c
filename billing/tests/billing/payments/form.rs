//! Every request to Stripe has the form that its OpenAPI document asks for.

use billing::payment::{PaymentProvider as _, stripe::Stripe};
use common::{
    id::{InvoiceId, PaymentAttemptId, TenantId},
    money::{Currency, Money},
    payment::{AttemptStatus, PaymentAttempt},
    time::Micros,
};
use servers::StripeMock;

fn attempt() -> PaymentAttempt {
    PaymentAttempt {
        id: PaymentAttemptId::generate(),
        issuer: TenantId::from_u128(1),
        tenant: TenantId::from_u128(2),
        invoice: InvoiceId::generate(),
        provider: "stripe".into(),
        customer: "cus_123".into(),
        method: "pm_123".into(),
        amount: Money::from_minor(10_380, Currency::USD),
        status: AttemptStatus::Created,
        intent: None,
        failure: None,
        action_url: None,
        created_at: Micros(0),
        updated_at: Micros(0),
        check_at: Some(Micros(0)),
    }
}

#[tokio::test]
async fn requests_have_the_form_that_stripes_own_document_asks_for() {
    let mock = StripeMock::start().unwrap();
    let tenant = TenantId::from_u128(1);
    let stripe = Stripe::new(&mock.url(), tenant, "sk_test_123".into(), Vec::new()).unwrap();
    let attempt = attempt();
    // The answers are made up, and may not be what is read of them; its log tells what it thinks of the requests.
    let _ = stripe.create_customer(tenant, "Acme & Söhne").await;
    let _ = stripe.setup_page("cus_123", "https://example.com/a?b=c").await;
    let _ = stripe.attach_method("cus_123", "pm_123").await;
    let _ = stripe.create_intent(&attempt).await;
    let _ = stripe.confirm_intent(&attempt, "pi_123").await;
    let _ = stripe.cancel_intent(&attempt, "pi_123").await;
    let _ = stripe.intent(&attempt, "pi_123").await;
    let told = mock.log().unwrap();
    let count = |text: &str| told.matches(text).count();
    assert_eq!((count("Request: "), count("status=200"), count("status=4")), (7, 7, 0), "{told}");
}
