//! Every request to Stripe has the form that its OpenAPI document asks for.

use billing::payment::{PaymentProvider as _, stripe::Stripe};
use common::{
    id::{InvoiceId, PaymentAttemptId, PaymentId, RefundAttemptId, TenantId},
    money::{Currency, Money},
    payment::{AttemptStatus, Payment, PaymentAttempt, RefundAttempt},
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
        page: None,
        action_url: None,
        created_at: Micros(0),
        updated_at: Micros(0),
        check_at: Some(Micros(0)),
    }
}

fn refund(attempt: &PaymentAttempt) -> RefundAttempt {
    let payment = Payment {
        id: PaymentId::generate(),
        issuer: attempt.issuer,
        tenant: attempt.tenant,
        invoice: attempt.invoice,
        amount: attempt.amount,
        method: "stripe".into(),
        reference: "pi_123".into(),
        refund_of: None,
        received_at: Micros(0),
        recorded_at: Micros(0),
    };
    RefundAttempt {
        id: RefundAttemptId::generate(),
        payment,
        amount: attempt.amount,
        status: AttemptStatus::Created,
        provider_refund: None,
        failure: None,
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
    let refund = refund(&attempt);
    let _ = stripe.find_refund(&refund).await;
    let _ = stripe.create_refund(&refund).await;
    let _ = stripe.payment_page(&attempt, "INV-000001", "https://example.com/a?b=c").await;
    let _ = stripe.page_state("cs_123").await;
    let _ = stripe.close_page("cs_123").await;
    let _ = stripe.saved("seti_123").await;
    let _ = stripe.dispute("dp_123").await;
    let _ = stripe.disputes_since(Micros(0)).await;
    // Of the payout that it makes up, Stripe knows the items.
    let _ = stripe.payout("po_123").await;
    let _ = stripe.payouts_since(Micros(0)).await;
    let told = mock.log().unwrap();
    let count = |text: &str| told.matches(text).count();
    assert_eq!((count("Request: "), count("status=200"), count("status=4")), (18, 18, 0), "{told}");
}
