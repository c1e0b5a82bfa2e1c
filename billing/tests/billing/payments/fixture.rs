//! A seller, a buyer who owes an invoice, and a Stripe.

use std::sync::Arc;

use billing::{
    outbox::{deliver_due, provider::ProviderDeliverer},
    payment::{
        Provider, Providers, collect, follow_due, follow_due_disputes, follow_due_payouts, look_for_missed,
        stripe::{NAME, Stripe},
    },
};
use common::{
    api::invoice::{NewInvoiceBody, NewLineBody},
    id::{InvoiceId, TenantId},
    invoice::{BillingDetails, Finalized, Invoice, InvoiceStatus},
    money::Currency,
    payment::{AttemptStatus, PaymentAttempt, SavedMethod},
    store::Store,
    time::{Clock, FixedClock, Micros, SystemClock},
};
use reqwest::Client;
use serde_json::{Value, json};
use servers::LocalStripe;
use sqlx::Connection as _;

use crate::deployment::{Deployment, customer};

/// The secret that events are signed with.
pub(super) const SIGNING: &str = "whsec_of_a_test";

/// Cards that localstripe knows.
pub(super) const GOOD: &str = "4242424242424242";
pub(super) const DECLINED: &str = "4000000000000341";
pub(super) const TO_CONFIRM: &str = "4000002760003184";

/// Everything that a test of payments needs.
pub(super) struct Fixture {
    pub(super) deployment: Deployment,
    pub(super) store: Store,
    pub(super) stripe: LocalStripe,
    pub(super) providers: Providers,
    pub(super) root: TenantId,
    pub(super) buyer: TenantId,
    pub(super) client: Client,
}

impl Fixture {
    pub(super) async fn open() -> Self {
        Self::at(Deployment::new()).await
    }

    pub(super) async fn at(deployment: Deployment) -> Self {
        let (store, root) = deployment.store().await;
        let stripe = LocalStripe::start().unwrap();
        let buyer = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let account = Stripe::new(&stripe.url(), root, "sk_test_12345".into(), vec![SIGNING.into()]).unwrap();
        let providers = Providers::new([Arc::new(account) as Provider]);
        Self { deployment, store, stripe, providers, root, buyer, client: Client::new() }
    }

    pub(super) async fn issuer_states(&self, details: Value) {
        let details: BillingDetails = serde_json::from_value(details).unwrap();
        self.store.set_billing_details(self.root, &details, SystemClock.now()).await.unwrap();
    }

    /// An invoice of 103.80 USD that the buyer owes from `now` on.
    pub(super) async fn invoice(&self, now: Micros) -> Invoice {
        self.invoice_of("103.80", Currency::USD, now).await
    }

    pub(super) async fn invoice_of(&self, amount: &str, currency: Currency, now: Micros) -> Invoice {
        let line = NewLineBody { description: "Work".into(), amount: amount.into(), meter: None };
        let body = NewInvoiceBody { issuer: None, tenant: self.buyer, currency, lines: vec![line], memo: None };
        match self.store.finalize_invoice(&body.invoice(self.root).unwrap(), now).await.unwrap() {
            Finalized::New(invoice) | Finalized::Before(invoice) => *invoice,
        }
    }

    /// Saves a card of the buyer, as its page with Stripe's script would.
    pub(super) async fn save_card(&self, number: &str) {
        let now = SystemClock.now();
        let sides = (self.root, self.buyer);
        let customer = match self.store.payment_account(sides, NAME).await.unwrap() {
            Some(account) => account.customer,
            None => text(&self.ask("customers", &json!({ "name": "Acme" })).await, "id"),
        };
        let card = json!({ "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123" });
        let method = text(&self.ask("payment_methods", &json!({ "type": "card", "card": card })).await, "id");
        self.ask(&format!("payment_methods/{method}/attach"), &json!({ "customer": customer })).await;
        let saved = SavedMethod { id: method, label: format!("visa {}", &number[12..]) };
        self.store.save_payment_account(sides, NAME, &customer, Some(&saved), now).await.unwrap();
    }

    /// Runs a statement on the store, as nobody but a fault would.
    pub(super) async fn execute(&self, statement: String) {
        let mut store = sqlx::SqliteConnection::connect(&self.deployment.url()).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut store).await.unwrap();
    }

    /// Asks localstripe to do something, as somebody else than the program would.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/v1/{path}", self.stripe.url());
        let answer = self.client.post(url).bearer_auth("sk_test_12345").body(body.to_string());
        let answer = answer.header("content-type", "application/json").send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Has localstripe fail the next requests to a path, after it did what they ask for.
    pub(super) async fn fault(&self, path: &str, kind: &str, times: u32) {
        let url = format!("{}/_config/faults", self.stripe.url());
        let body = json!({ "path": path, "kind": kind, "times": times }).to_string();
        let answer = self.client.post(url).header("content-type", "application/json").body(body).send().await;
        assert!(answer.unwrap().status().is_success());
    }

    /// Tells the stand-in of something that it did not make, such as a dispute.
    pub(super) async fn put(&self, kind: &str, body: &Value) {
        let url = format!("{}/_config/{kind}", self.stripe.url());
        let request = self.client.put(url).header("content-type", "application/json").body(body.to_string());
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Has the stand-in do something that is not Stripe's API.
    pub(super) async fn configure(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/_config/{path}", self.stripe.url());
        let request = self.client.post(url).header("content-type", "application/json").body(body.to_string());
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// Intents that were charged, as localstripe tells, with how often.
    pub(super) async fn charged(&self) -> Vec<(String, i64, u64)> {
        let url = format!("{}/_config/intents", self.stripe.url());
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let intents: Vec<Value> = serde_json::from_str(&text).unwrap();
        let charged = intents.iter().filter(|intent| intent["status"] == "succeeded");
        let row = |intent: &Value| {
            (text_of(&intent["id"]), intent["amount"].as_i64().unwrap(), intent["charges"].as_u64().unwrap())
        };
        charged.map(row).collect()
    }

    /// One look of the job, and all that the outbox has to ask for then.
    pub(super) async fn look(&self, now: Micros) {
        self.deliver(now).await;
        follow_due(&self.store, &self.providers, now).await.unwrap();
        follow_due_disputes(&self.store, &self.providers, now).await.unwrap();
        follow_due_payouts(&self.store, &self.providers, now).await.unwrap();
        look_for_missed(&self.store, &self.providers, now).await.unwrap();
        collect(&self.store, &self.providers, now).await.unwrap();
        self.deliver(now).await;
    }

    async fn deliver(&self, now: Micros) {
        let deliverer = ProviderDeliverer::new(self.store.clone(), self.providers.clone());
        let clock: Arc<dyn Clock> = Arc::new(FixedClock(now));
        deliver_due(&self.store, &clock, Arc::new(vec![Box::new(deliverer)]), "test").await.unwrap();
    }

    pub(super) async fn attempts(&self, invoice: InvoiceId) -> Vec<PaymentAttempt> {
        self.store.payment_attempts(invoice).await.unwrap()
    }

    pub(super) async fn statuses(&self, invoice: InvoiceId) -> Vec<AttemptStatus> {
        self.attempts(invoice).await.iter().map(|attempt| attempt.status).collect()
    }

    /// The invoice is paid once, by one charge of its amount, and the books balance.
    pub(super) async fn assert_paid_once(&self, invoice: &Invoice) {
        let paid = self.store.invoice(invoice.id).await.unwrap();
        assert_eq!((paid.status, paid.open.minor()), (InvoiceStatus::Paid, 0));
        let payments = self.store.payments(invoice.id).await.unwrap();
        assert_eq!(payments.len(), 1, "{payments:?}");
        let charged = self.charged().await;
        let expected = [(payments[0].reference.clone(), invoice.total.minor(), 1)];
        assert_eq!(charged, expected, "Stripe's books");
        self.assert_books_balance().await;
    }

    pub(super) async fn assert_books_balance(&self) {
        assert_eq!(self.store.ledger_faults().await.unwrap(), []);
        assert_eq!(self.store.invoice_faults().await.unwrap(), []);
        assert_eq!(self.store.wallet_faults().await.unwrap(), []);
        assert_eq!(self.store.dispute_faults().await.unwrap(), []);
    }
}

pub(super) fn text(value: &Value, member: &str) -> String {
    text_of(&value[member])
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}
