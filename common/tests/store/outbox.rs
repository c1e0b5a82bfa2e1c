//! The outbox: events written with their causes, messages sent by one worker at a time and in their
//! order, and nothing lost.

use common::{
    event::EventType,
    id::{InvoiceId, TenantId},
    invoice::{BillingDetails, Counts, Finalized, InvoiceLine, LineKind, NewInvoice, tax::TaxRule},
    mail::{MailPurpose, MailSettings},
    money::{Currency, Money},
    outbox::{ClaimedMessage, MAIL, Message, MessageFilter, MessageState, Sent, WEBHOOK},
    payment::NewPayment,
    store::{Store, StoreError},
    tenant::TenantKind,
    time::Micros,
    webhook::{EndpointUpdate, NewEndpoint, WebhookEndpoint},
};

use crate::fixture::{
    Fixture, NOW, PAGE, assert_conflict, assert_refused, below, customer, new_key, on_both_engines, person_at, root,
};

on_both_engines!(
    events_are_written_with_their_causes,
    endpoint_hears_of_its_own_subtree_and_types,
    receivers_are_told_of_an_event_once,
    messages_of_an_object_are_sent_in_their_order,
    failed_message_holds_up_its_own_lane_only,
    lease_that_runs_out_is_taken_over_and_its_worker_changes_nothing,
    concurrent_workers_send_each_message_once,
    given_up_message_is_replayed_with_its_id,
    mail_goes_to_people_by_purpose_and_mail_for_nobody_is_told,
    expiring_key_is_told_once_for_each_expiry,
    disabled_endpoint_tells_its_tenant_and_hears_nothing,
    endpoints_are_checked_and_belong_to_their_tenant,
    old_messages_are_tidied_away,
    messages_of_others_are_not_there,
);

const LEASE: i64 = 60;

/// An endpoint of a tenant for all events, or for those of `types`.
async fn endpoint(store: &Store, tenant: TenantId, types: &[EventType], below: bool) -> WebhookEndpoint {
    let new = NewEndpoint {
        tenant,
        name: "hooks".into(),
        url: "https://example.com/hooks".parse().unwrap(),
        types: types.to_vec(),
        below,
        pepper_id: "pepper".into(),
    };
    store.create_webhook_endpoint(&new, NOW).await.unwrap()
}

async fn invoice(store: &Store, issuer: TenantId, tenant: TenantId, minor: i64) -> InvoiceId {
    let line = InvoiceLine {
        kind: LineKind::Custom,
        description: "Work".into(),
        meter: None,
        quantity: 1,
        unit_price: None,
        exact: None,
        amount_minor: minor,
        tax: TaxRule::NONE,
        period: None,
        coupon: None,
        in_advance: false,
    };
    let new = NewInvoice {
        issuer,
        tenant,
        currency: Currency::EUR,
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
    match store.finalize_invoice(&new, NOW).await.unwrap() {
        Finalized::New(invoice) | Finalized::Before(invoice) => invoice.id,
    }
}

async fn pay(store: &Store, invoice: InvoiceId, minor: i64, reference: &str) -> Result<(), StoreError> {
    let new = NewPayment {
        invoice,
        amount: Money::from_minor(minor, Currency::EUR),
        method: "bank_transfer".into(),
        reference: reference.into(),
        received_at: NOW,
    };
    store.record_payment(&new, NOW).await.map(drop)
}

/// All messages, oldest first.
async fn messages(store: &Store) -> Vec<Message> {
    let mut found = store.messages(&MessageFilter::default(), PAGE).await.unwrap().items;
    found.reverse();
    found
}

async fn subjects(store: &Store) -> Vec<String> {
    let kind = |message: Message| message.subject.split(' ').next().unwrap().to_owned();
    messages(store).await.into_iter().map(kind).collect()
}

async fn tell(store: &Store) -> usize {
    store.tell_events(100, false, NOW).await.unwrap()
}

async fn claim(store: &Store, worker: &str, now: Micros) -> Option<ClaimedMessage> {
    store.claim_message(worker, &[WEBHOOK, MAIL], &[], LEASE, now).await.unwrap()
}

fn delivered() -> Sent {
    Sent::Delivered("200".into())
}

async fn events_are_written_with_their_causes(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    endpoint(&store, tenant, &[], false).await;
    let first = invoice(&store, issuer, tenant, 100).await;
    pay(&store, first, 40, "one").await.unwrap();
    pay(&store, first, 40, "one").await.unwrap();
    assert_conflict(pay(&store, first, 400, "two").await, "is open");
    pay(&store, first, 60, "three").await.unwrap();
    let second = invoice(&store, issuer, tenant, 100).await;
    store.void_invoice(second, "a slip", NOW).await.unwrap();
    store.void_invoice(second, "a slip", NOW).await.unwrap();
    let third = invoice(&store, issuer, tenant, 50).await;
    let credited = common::invoice::NewCreditNote { lines: Vec::new(), reason: "goodwill".into() };
    store.issue_credit_note(third, &credited, NOW).await.unwrap();
    assert_eq!(tell(&store).await, 9);
    assert_eq!(tell(&store).await, 0);
    assert_eq!(
        subjects(&store).await,
        [
            "invoice.finalized",
            "payment.succeeded",
            "payment.succeeded",
            "invoice.paid",
            "invoice.finalized",
            "invoice.voided",
            "invoice.finalized",
            "credit_note.created",
            "invoice.paid",
        ]
    );
    let body = messages(&store).await.remove(3).body;
    assert_eq!(body["type"], "invoice.paid");
    assert_eq!(body["tenant"], tenant.to_string());
    assert_eq!(body["timestamp"], NOW.to_string());
    assert_eq!((&body["data"]["open"], &body["data"]["total"]), (&"0.00".into(), &"1.00".into()));
    assert_eq!(body["data"]["status"], "paid");
}

async fn endpoint_hears_of_its_own_subtree_and_types(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let partner = below(&store, TenantKind::Reseller, top).await;
    let (shop, other) = (customer(&store, partner).await, customer(&store, top).await);
    let all = endpoint(&store, top, &[], true).await;
    let own = endpoint(&store, top, &[], false).await;
    let paid = endpoint(&store, partner, &[EventType::InvoicePaid], true).await;
    let of_shop = endpoint(&store, shop, &[], false).await;
    let of_other = endpoint(&store, other, &[], true).await;
    let sold = invoice(&store, partner, shop, 100).await;
    let late = endpoint(&store, shop, &[], false).await;
    pay(&store, sold, 100, "one").await.unwrap();
    tell(&store).await;
    let heard = async |endpoint: &WebhookEndpoint| {
        let filter = MessageFilter { target: Some(endpoint.id.to_string()), ..MessageFilter::default() };
        store.messages(&filter, PAGE).await.unwrap().items.len()
    };
    assert_eq!((heard(&all).await, heard(&own).await), (3, 0));
    assert_eq!(heard(&late).await, 2, "of what happened since it was made");
    assert_eq!((heard(&paid).await, heard(&of_shop).await, heard(&of_other).await), (1, 3, 0));
    let ids: std::collections::BTreeSet<_> =
        messages(&store).await.into_iter().map(|message| message.event.unwrap().to_string()).collect();
    assert_eq!(ids.len(), 3, "an event has one id for all who hear of it");
}

async fn receivers_are_told_of_an_event_once(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    endpoint(&store, tenant, &[], false).await;
    for minor in 1..=40 {
        invoice(&store, issuer, tenant, minor).await;
    }
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { while store.tell_events(7, true, NOW).await.unwrap() > 0 {} })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.tell_events(7, true, NOW).await.unwrap(), 0);
    let webhooks: Vec<_> = messages(&store).await.into_iter().filter(|message| message.kind == WEBHOOK).collect();
    let totals: Vec<String> =
        webhooks.iter().map(|message| message.body["data"]["total"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<String> = (1..=40).map(|minor| Money::from_minor(minor, Currency::EUR).digits()).collect();
    assert_eq!(totals, expected, "each once, in the order of events");
}

async fn messages_of_an_object_are_sent_in_their_order(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    endpoint(&store, tenant, &[], false).await;
    let (one, other) = (invoice(&store, issuer, tenant, 100).await, invoice(&store, issuer, tenant, 100).await);
    pay(&store, one, 100, "one").await.unwrap();
    tell(&store).await;
    let first = claim(&store, "a", NOW).await.unwrap();
    assert_eq!((first.message.subject.clone(), first.message.attempt), (format!("invoice.finalized {one}"), 1));
    let second = claim(&store, "b", NOW).await.unwrap();
    assert_eq!(second.message.subject, format!("invoice.finalized {other}"), "of another object");
    assert!(claim(&store, "b", NOW).await.is_none(), "the payment waits for its invoice");
    assert!(store.end_message(&first, &delivered(), NOW).await.unwrap());
    let third = claim(&store, "b", NOW).await.unwrap();
    assert_eq!(third.message.subject, format!("payment.succeeded {one}"));
    assert!(claim(&store, "b", NOW).await.is_none());
    store.end_message(&third, &delivered(), NOW).await.unwrap();
    let last = claim(&store, "a", NOW).await.unwrap();
    assert_eq!(last.message.subject, format!("invoice.paid {one}"));
}

async fn failed_message_holds_up_its_own_lane_only(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    let slow = endpoint(&store, tenant, &[], false).await;
    let quick = endpoint(&store, tenant, &[], false).await;
    let one = invoice(&store, issuer, tenant, 100).await;
    pay(&store, one, 100, "one").await.unwrap();
    tell(&store).await;
    let failed = claim(&store, "a", NOW).await.unwrap();
    assert_eq!(failed.message.target, slow.id.to_string());
    assert!(store.end_message(&failed, &Sent::Later("no\nanswer".into(), 300), NOW).await.unwrap());
    let kept = store.message(failed.message.id).await.unwrap();
    assert_eq!((kept.state, kept.attempt, kept.result.as_deref()), (MessageState::Pending, 1, Some("no answer")));
    assert_eq!((kept.due_at, kept.first_at), (NOW.plus_seconds(300), Some(NOW)));
    // All of the other endpoint's go, one after the other.
    for subject in ["invoice.finalized", "payment.succeeded", "invoice.paid"] {
        let next = claim(&store, "a", NOW).await.unwrap();
        assert_eq!(
            (next.message.target.clone(), next.message.subject.split(' ').next()),
            (quick.id.to_string(), Some(subject))
        );
        store.end_message(&next, &delivered(), NOW).await.unwrap();
    }
    assert!(claim(&store, "a", NOW.plus_seconds(299)).await.is_none());
    let busy = [slow.id.to_string()];
    let later = NOW.plus_seconds(300);
    assert!(store.claim_message("a", &[WEBHOOK], &busy, LEASE, later).await.unwrap().is_none(), "the endpoint is busy");
    assert!(store.claim_message("a", &[MAIL], &[], LEASE, later).await.unwrap().is_none(), "of another kind");
    let again = claim(&store, "a", later).await.unwrap();
    assert_eq!((again.message.id, again.message.attempt), (failed.message.id, 2));
    let depth = store.outbox_depth().await.unwrap();
    let webhook = depth.iter().find(|depth| depth.kind == WEBHOOK).unwrap();
    assert_eq!((webhook.pending, webhook.retrying, webhook.oldest), (3, 1, Some(NOW)));
    let events = depth.iter().find(|depth| depth.kind == "event").unwrap();
    assert_eq!((events.pending, events.oldest), (0, None));
}

async fn lease_that_runs_out_is_taken_over_and_its_worker_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    endpoint(&store, tenant, &[], false).await;
    invoice(&store, issuer, tenant, 100).await;
    tell(&store).await;
    let first = claim(&store, "a", NOW).await.unwrap();
    assert!(claim(&store, "b", NOW.plus_seconds(LEASE - 1)).await.is_none());
    let second = claim(&store, "b", NOW.plus_seconds(LEASE)).await.unwrap();
    assert_eq!((second.message.id, second.message.attempt), (first.message.id, 2));
    assert!(!store.end_message(&first, &Sent::GivenUp("late".into()), NOW.plus_seconds(LEASE)).await.unwrap());
    assert!(store.end_message(&second, &delivered(), NOW.plus_seconds(LEASE + 1)).await.unwrap());
    assert!(!store.end_message(&second, &delivered(), NOW.plus_seconds(LEASE + 2)).await.unwrap());
    let kept = store.message(first.message.id).await.unwrap();
    assert_eq!((kept.state, kept.ended_at), (MessageState::Delivered, Some(NOW.plus_seconds(LEASE + 1))));
}

async fn concurrent_workers_send_each_message_once(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    endpoint(&store, tenant, &[], false).await;
    for minor in 1..=20 {
        let one = invoice(&store, issuer, tenant, minor).await;
        pay(&store, one, minor, &format!("pay-{minor}")).await.unwrap();
    }
    tell(&store).await;
    let workers: Vec<_> = (0..6)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let (worker, mut sent) = (format!("worker {number}"), Vec::new());
                // Whoever finds nothing may be behind one whose lane goes on.
                for _ in 0..200 {
                    let Some(claimed) = claim(&store, &worker, NOW).await else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    sent.push(claimed.message.id.to_string());
                    assert!(store.end_message(&claimed, &delivered(), NOW).await.unwrap());
                }
                sent
            })
        })
        .collect();
    let mut sent = Vec::new();
    for worker in workers {
        sent.extend(worker.await.unwrap());
    }
    sent.sort();
    let mut all: Vec<_> = messages(&store).await.into_iter().map(|message| message.id.to_string()).collect();
    all.sort();
    assert_eq!((all.len(), sent == all), (60, true));
}

async fn given_up_message_is_replayed_with_its_id(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    let hooks = endpoint(&store, tenant, &[], false).await;
    let one = invoice(&store, issuer, tenant, 100).await;
    pay(&store, one, 100, "one").await.unwrap();
    tell(&store).await;
    let first = claim(&store, "a", NOW).await.unwrap();
    store.end_message(&first, &Sent::GivenUp("given up after 10 tries".into()), NOW).await.unwrap();
    let second = claim(&store, "a", NOW).await.unwrap();
    assert_ne!(second.message.id, first.message.id, "what was given up holds up nothing");
    store.end_message(&second, &delivered(), NOW).await.unwrap();
    let later = NOW.plus_seconds(10);
    let replayed = store.replay_message(tenant, first.message.id, later).await.unwrap();
    assert_eq!((replayed.state, replayed.attempt, replayed.due_at), (MessageState::Pending, 0, later));
    let again = claim(&store, "a", later).await.unwrap();
    assert_eq!((again.message.id, again.message.event), (first.message.id, first.message.event));
    assert_eq!(again.message.body, first.message.body);
    store.end_message(&again, &delivered(), later).await.unwrap();
    let since = |at: Micros, delivered| store.replay_webhook_endpoint(tenant, hooks.id, (at, delivered), later);
    assert_eq!(since(NOW, false).await.unwrap(), 0);
    assert_eq!(since(NOW.plus_seconds(1), true).await.unwrap(), 0);
    assert_eq!(since(NOW, true).await.unwrap(), 2, "one waits still");
    let off = EndpointUpdate { enabled: Some(false), ..EndpointUpdate::default() };
    store.update_webhook_endpoint(tenant, hooks.id, &off, later).await.unwrap();
    assert_conflict(since(NOW, true).await, "enable it first");
    assert!(store.replay_message(issuer, first.message.id, later).await.is_err(), "it is not the issuer's");
}

async fn mail_goes_to_people_by_purpose_and_mail_for_nobody_is_told(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let [nobody, billed, chosen] =
        [customer(&store, issuer).await, customer(&store, issuer).await, customer(&store, issuer).await];
    let email = |text: &str| BillingDetails { email: Some(text.into()), ..BillingDetails::default() };
    store.set_billing_details(billed, &email("billing@acme.example"), NOW).await.unwrap();
    store.set_billing_details(chosen, &email("billing@other.example"), NOW).await.unwrap();
    let two = vec!["a@other.example".parse().unwrap(), "b@other.example".parse().unwrap()];
    let settings = MailSettings {
        language: Some(common::mail::Language::De),
        recipients: [(MailPurpose::Invoices, two.clone()), (MailPurpose::Payments, Vec::new())].into(),
    };
    store.set_mail_settings(chosen, &settings, NOW).await.unwrap();
    assert_eq!(store.mail_settings(chosen).await.unwrap(), settings);
    let twice =
        MailSettings { recipients: [(MailPurpose::Keys, vec![two[0].clone(), two[0].clone()])].into(), ..settings };
    assert_refused(store.set_mail_settings(chosen, &twice, NOW).await, "recipients.keys: ");
    for tenant in [nobody, billed, chosen] {
        let one = invoice(&store, issuer, tenant, 100).await;
        pay(&store, one, 100, &format!("{tenant}")).await.unwrap();
    }
    store.tell_events(100, true, NOW).await.unwrap();
    let mail: Vec<(String, String, MessageState)> = messages(&store)
        .await
        .into_iter()
        .filter(|message| message.tenant != issuer)
        .map(|message| (message.target, message.subject.split(' ').next().unwrap().to_owned(), message.state))
        .collect();
    let expected = [
        ("nobody", "invoice", MessageState::GivenUp),
        ("nobody", "receipt", MessageState::GivenUp),
        ("billing@acme.example", "invoice", MessageState::Pending),
        ("billing@acme.example", "receipt", MessageState::Pending),
        ("a@other.example", "invoice", MessageState::Pending),
        ("b@other.example", "invoice", MessageState::Pending),
    ];
    assert_eq!(mail, expected.map(|(target, kind, state)| (target.to_owned(), kind.to_owned(), state)));
    // Told, not lost: once there is an address, it is addressed.
    let lost = messages(&store).await.into_iter().find(|message| message.target == "nobody").unwrap();
    assert!(lost.result.as_ref().unwrap().contains("has no address"), "{lost:?}");
    assert!(store.address_mail(lost.id, NOW).await.unwrap().unwrap_err().contains("set `email`"));
    store.set_billing_details(nobody, &email("late@acme.example"), NOW).await.unwrap();
    assert_eq!(store.address_mail(lost.id, NOW).await.unwrap(), Ok(1));
    assert_eq!(store.address_mail(lost.id, NOW).await.unwrap(), Ok(1), "again, and nothing more is written");
    let late = MessageFilter { target: Some("late@acme.example".into()), ..MessageFilter::default() };
    let late = store.messages(&late, PAGE).await.unwrap().items;
    assert_eq!((late.len(), &late[0].body["mail"]), (1, &"invoice".into()));
}

async fn expiring_key_is_told_once_for_each_expiry(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    endpoint(&store, tenant, &[EventType::KeyExpiring], false).await;
    let week = 7 * 86_400;
    let expiring = |seconds: i64| {
        let new = common::key::NewKey { expires_at: Some(NOW.plus_seconds(seconds)), ..new_key(tenant) };
        let store = store.clone();
        async move { store.create_key(&new, NOW).await.unwrap() }
    };
    let soon = expiring(week).await;
    let later = expiring(week + 60).await;
    let revoked = expiring(60).await;
    store.revoke_key(revoked.id, NOW).await.unwrap();
    assert_eq!(store.tell_expiring_keys(NOW).await.unwrap(), 1);
    assert_eq!(store.tell_expiring_keys(NOW).await.unwrap(), 0, "once");
    assert_eq!(store.tell_expiring_keys(NOW.plus_seconds(60)).await.unwrap(), 1);
    tell(&store).await;
    let told: Vec<_> = messages(&store).await.into_iter().map(|message| message.body["data"]["id"].clone()).collect();
    assert_eq!(told, [serde_json::json!(soon.id), serde_json::json!(later.id)]);
    assert_eq!(store.tell_expiring_keys(NOW.plus_seconds(30 * 86_400)).await.unwrap(), 0, "they have expired");
}

async fn disabled_endpoint_tells_its_tenant_and_hears_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    let hooks = endpoint(&store, tenant, &[], false).await;
    let other = endpoint(&store, tenant, &[], false).await;
    store.note_webhook_try(&hooks, false, NOW).await.unwrap();
    let failing = store.webhook_endpoint(tenant, hooks.id).await.unwrap();
    assert_eq!(failing.failing_since, Some(NOW));
    store.note_webhook_try(&failing, false, NOW.plus_seconds(5)).await.unwrap();
    assert_eq!(store.webhook_endpoint(tenant, hooks.id).await.unwrap().failing_since, Some(NOW));
    assert!(store.disable_webhook_endpoint(hooks.id, "no answer", NOW).await.unwrap());
    assert!(!store.disable_webhook_endpoint(hooks.id, "no answer", NOW).await.unwrap(), "once");
    tell(&store).await;
    let told = messages(&store).await;
    assert_eq!((told.len(), told[0].target.clone()), (1, other.id.to_string()));
    assert_eq!(
        (&told[0].body["type"], &told[0].body["data"]["id"]),
        (&"webhook_endpoint.disabled".into(), &serde_json::json!(hooks.id))
    );
    let on = EndpointUpdate { enabled: Some(true), ..EndpointUpdate::default() };
    let enabled = store.update_webhook_endpoint(tenant, hooks.id, &on, NOW).await.unwrap();
    assert_eq!((enabled.disabled, enabled.failing_since), (None, None));
    store.note_webhook_try(&failing, true, NOW).await.unwrap();
    invoice(&store, issuer, tenant, 100).await;
    tell(&store).await;
    assert_eq!(messages(&store).await.len(), 3);
}

async fn endpoints_are_checked_and_belong_to_their_tenant(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let (one, other) = (customer(&store, top).await, customer(&store, top).await);
    let hooks = endpoint(&store, one, &[], false).await;
    assert_eq!(hooks.secrets(NOW), [1]);
    let rotated = store.rotate_webhook_secret(one, hooks.id, 3_600, "pepper", NOW).await.unwrap();
    assert_eq!((rotated.secrets(NOW), rotated.secrets(NOW.plus_seconds(3_600))), (vec![2, 1], vec![2]));
    assert_refused(store.rotate_webhook_secret(one, hooks.id, 700_000, "pepper", NOW).await, "grace_seconds: ");
    let twice = EndpointUpdate { types: Some(vec![EventType::InvoicePaid; 2]), ..EndpointUpdate::default() };
    assert_refused(store.update_webhook_endpoint(one, hooks.id, &twice, NOW).await, "types: invoice.paid");
    let nameless = EndpointUpdate { name: Some(" ".into()), ..EndpointUpdate::default() };
    assert_refused(store.update_webhook_endpoint(one, hooks.id, &nameless, NOW).await, "name: ");
    let theirs = person_at(&store, "theirs", other);
    assert!(matches!(theirs.webhook_endpoint(one, hooks.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(theirs.webhook_endpoint(other, hooks.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(theirs.delete_webhook_endpoint(other, hooks.id, NOW).await, Err(StoreError::NotFound { .. })));
    for _ in 1..20 {
        endpoint(&store, one, &[], false).await;
    }
    let new = NewEndpoint {
        tenant: one,
        name: "one more".into(),
        url: "https://example.com/".parse().unwrap(),
        types: Vec::new(),
        below: false,
        pepper_id: "pepper".into(),
    };
    assert_conflict(store.create_webhook_endpoint(&new, NOW).await, "at most 20");
    store.delete_webhook_endpoint(one, hooks.id, NOW).await.unwrap();
    assert!(store.webhook_receiver(hooks.id).await.unwrap().is_none());
    assert!(store.create_webhook_endpoint(&new, NOW).await.is_ok(), "there is room again");
}

async fn old_messages_are_tidied_away(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let tenant = customer(&store, issuer).await;
    endpoint(&store, tenant, &[], false).await;
    let (_, waiting) = (invoice(&store, issuer, tenant, 100).await, invoice(&store, issuer, tenant, 100).await);
    tell(&store).await;
    let sent = claim(&store, "a", NOW).await.unwrap();
    store.end_message(&sent, &delivered(), NOW).await.unwrap();
    assert_eq!(store.tidy_outbox(NOW).await.unwrap(), (0, 0));
    let (gone, events) = store.tidy_outbox(NOW.plus_seconds(1)).await.unwrap();
    assert_eq!(gone, 1);
    assert!(events >= 1);
    let left = messages(&store).await;
    assert_eq!((left.len(), left[0].subject.clone()), (1, format!("invoice.finalized {waiting}")));
    let kept = fixture.number("SELECT COUNT(*) FROM events WHERE type = 'invoice.finalized'").await;
    assert_eq!(kept, 1, "the event of a message that waits");
}

async fn messages_of_others_are_not_there(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let (one, other) = (customer(&store, issuer).await, customer(&store, issuer).await);
    endpoint(&store, one, &[], false).await;
    invoice(&store, issuer, one, 100).await;
    tell(&store).await;
    let message = messages(&store).await.remove(0);
    let (own, theirs) = (person_at(&store, "own", one), person_at(&store, "theirs", other));
    assert_eq!(own.messages(&MessageFilter::default(), PAGE).await.unwrap().items.len(), 1);
    assert_eq!(theirs.messages(&MessageFilter::default(), PAGE).await.unwrap().items, []);
    assert!(matches!(theirs.message(message.id).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(theirs.replay_message(one, message.id, NOW).await, Err(StoreError::NotFound { .. })));
    let of_other = MessageFilter { subtree_of: Some(one), ..MessageFilter::default() };
    assert!(matches!(theirs.messages(&of_other, PAGE).await, Err(StoreError::NotFound { .. })));
}
