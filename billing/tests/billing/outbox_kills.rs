//! Processes that send are killed at random: nothing is lost, what comes again has the same id, and each
//! object's messages come in their order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::{
    api::invoice::{NewInvoiceBody, NewLineBody, NewPaymentBody},
    id::TenantId,
    invoice::Finalized,
    key::Pepper,
    money::Currency,
    outbox::{MessageFilter, MessageState},
    store::{PageRequest, Store},
    time::{Clock as _, SystemClock},
    webhook::NewEndpoint,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    deployment::{Deployment, Server, customer, eventually, stderr},
    receiver::{Answer, OPEN, Receiver},
    topic::deployments,
};

const ROUNDS: u32 = 6;

/// Invoices of a round, each with two payments.
const INVOICES: u32 = 12;

/// Issues an invoice and pays it in two parts: four events of one object.
async fn sell(store: &Store, root: TenantId, tenant: TenantId) {
    let now = SystemClock.now();
    let line = NewLineBody { description: "Work".into(), amount: "10.00".into(), meter: None };
    let body = NewInvoiceBody { issuer: None, tenant, currency: Currency::EUR, lines: vec![line], memo: None };
    let invoice = match store.finalize_invoice(&body.invoice(root).unwrap(), now).await.unwrap() {
        Finalized::New(invoice) | Finalized::Before(invoice) => invoice.id,
    };
    for part in ["one", "two"] {
        let reference = format!("{invoice} {part}");
        let body = NewPaymentBody { amount: "5.00".into(), method: None, reference, received_at: None };
        store.record_payment(&body.payment(invoice, Currency::EUR, now).unwrap(), now).await.unwrap();
    }
}

/// Sends all that is left, as if so many hours had passed, so that no lease and no wait is in the way.
async fn send_the_rest(deployment: &Deployment, store: &Store) {
    for hours in 1..40 {
        let now = SystemClock.now().plus_seconds(hours * 3_600).to_string();
        let output = deployment.run(&["outbox", "run", "--now", &now, "--config", "billing.yaml"]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let pending = MessageFilter { state: Some(MessageState::Pending), ..MessageFilter::default() };
        if store.messages(&pending, PageRequest { after: None, limit: 1 }).await.unwrap().items.is_empty() {
            return;
        }
    }
    panic!("messages are left");
}

#[tokio::test]
async fn killed_processes_lose_nothing_and_keep_the_order() {
    for deployment in deployments() {
        let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
        std::fs::write(deployment.path("billing.yaml"), settings + OPEN).unwrap();
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
        let receiver = Receiver::start().await;
        let new = NewEndpoint {
            tenant,
            name: "hooks".into(),
            url: format!("{}/hooks", receiver.url).parse().unwrap(),
            types: Vec::new(),
            below: false,
            pepper_id: Pepper::new(b"0123456789abcdef").unwrap().id().into(),
        };
        store.create_webhook_endpoint(&new, SystemClock.now()).await.unwrap();
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..ROUNDS {
            // Now and then the receiver fails, too.
            receiver.answer("/hooks", if round % 3 == 1 { Answer::Status(503) } else { Answer::Status(204) });
            let mut servers: Vec<Server> = vec![deployment.serve().await, deployment.serve().await];
            for _ in 0..INVOICES {
                sell(&store, root, tenant).await;
            }
            for _ in 0..2 {
                let enough = receiver.received("/hooks").len() + random.random_range(1..6);
                eventually("more has come", async || receiver.received("/hooks").len() >= enough).await;
                // Dropping a server kills it at once.
                servers.pop();
            }
        }
        receiver.answer("/hooks", Answer::Status(204));
        send_the_rest(&deployment, &store).await;
        assert_all_came_in_order(&receiver);
        let page = PageRequest { after: None, limit: 1_000 };
        let all = store.messages(&MessageFilter::default(), page).await.unwrap().items;
        assert!(all.iter().all(|message| message.state == MessageState::Delivered));
        let ids: BTreeSet<String> = all.iter().map(|message| message.event.unwrap().to_string()).collect();
        let came: BTreeSet<String> = receiver.received("/hooks").iter().map(|one| one.id().to_owned()).collect();
        assert_eq!(ids, came, "what was caused is what came");
    }
}

fn assert_all_came_in_order(receiver: &Receiver) {
    let mut bodies: HashMap<String, String> = HashMap::new();
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in receiver.received("/hooks") {
        let known = bodies.insert(message.id().to_owned(), message.body.clone());
        if let Some(known) = known {
            assert_eq!(known, message.body, "a repetition is the same");
            continue;
        }
        let document = message.document();
        let invoice = document["data"]["invoice"].as_str().or(document["data"]["id"].as_str()).unwrap().to_owned();
        let open = document["data"]["open"].as_str().unwrap().to_owned();
        kinds.entry(invoice).or_default().push(format!("{} {open}", message.kind()));
    }
    assert_eq!(kinds.len(), (ROUNDS * INVOICES) as usize);
    let expected = ["invoice.finalized 10.00", "payment.succeeded 5.00", "payment.succeeded 0.00", "invoice.paid 0.00"];
    for (invoice, kinds) in kinds {
        assert_eq!(kinds, expected, "{invoice}");
    }
}
