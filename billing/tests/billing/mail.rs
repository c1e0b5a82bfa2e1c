//! Mail: handed to a real SMTP server that takes it, refuses it, delays it and breaks off.

use std::process::Command;

use common::{
    api::invoice::{NewInvoiceBody, NewLineBody},
    branding::{Branding, Contact},
    id::{InvoiceId, TenantId},
    invoice::{BillingDetails, Finalized, NewCreditNote},
    mail::{Language, MailPurpose, MailSettings},
    money::{Currency, Money},
    outbox::{Message, MessageFilter, MessageState},
    payment::NewPayment,
    store::{PageRequest, Store},
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, Micros, SystemClock},
};
use serde_json::Value;
use servers::{Authority, Smtp, SmtpAccess};

use crate::deployment::{Deployment, customer, eventually, stderr, stdout};

/// A deployment that hands mail to a port of this machine, with these settings too.
fn with_mail(port: u16, more: &str) -> Deployment {
    let deployment = Deployment::new();
    let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    let mail =
        format!("mail: {{ server: 'localhost:{port}', from: 'Example Billing <billing@example.com>', {more} }}\n");
    std::fs::write(deployment.path("billing.yaml"), settings + &mail).unwrap();
    deployment
}

async fn buyer(store: &Store, root: TenantId, address: &str) -> TenantId {
    let tenant = customer(store, root, "Acme & Söhne", "Europe/Berlin", "growth").await.id;
    let details = BillingDetails { email: Some(address.into()), ..BillingDetails::default() };
    store.set_billing_details(tenant, &details, SystemClock.now()).await.unwrap();
    tenant
}

async fn invoice(store: &Store, root: TenantId, tenant: TenantId) -> InvoiceId {
    let line = NewLineBody { description: "Work".into(), amount: "1234.50".into(), meter: None };
    let body = NewInvoiceBody { issuer: None, tenant, currency: Currency::EUR, lines: vec![line], memo: None };
    match store.finalize_invoice(&body.invoice(root).unwrap(), SystemClock.now()).await.unwrap() {
        Finalized::New(invoice) | Finalized::Before(invoice) => invoice.id,
    }
}

async fn mail(store: &Store) -> Vec<Message> {
    let filter = MessageFilter { kind: Some("mail".into()), ..MessageFilter::default() };
    let mut found = store.messages(&filter, PageRequest { after: None, limit: 100 }).await.unwrap().items;
    found.reverse();
    found
}

async fn only(store: &Store) -> Message {
    let mut found = mail(store).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Sends what is due at an instant.
async fn run(deployment: &Deployment, now: Micros) {
    let now = now.to_string();
    let output = deployment.run(&["outbox", "run", "--now", &now, "--config", "billing.yaml"]).await;
    assert!(output.status.success(), "{}", stderr(&output));
}

/// The mail that a server has taken: receivers and the text as it came.
fn taken(server: &Smtp) -> Vec<(Value, String)> {
    let lines = server.taken().unwrap();
    let parsed = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.map(|line| (line["to"].clone(), line["raw"].as_str().unwrap().to_owned())).collect()
}

fn header<'a>(raw: &'a str, name: &str) -> &'a str {
    let line = raw.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in\n{raw}"))
}

#[tokio::test]
async fn invoice_is_mailed_in_the_language_of_its_tenant() {
    let server = Smtp::start().unwrap();
    let deployment =
        with_mail(server.port(), "tls: none, reply_to: help@example.com, unsubscribe: 'mailto:stop@example.com'");
    let (store, root) = deployment.store().await;
    let tenant = buyer(&store, root, "billing@acme.example").await;
    let people = vec!["one@acme.example".parse().unwrap(), "two@acme.example".parse().unwrap()];
    let settings = MailSettings { language: Some(Language::De), recipients: [(MailPurpose::Invoices, people)].into() };
    store.set_mail_settings(tenant, &settings, SystemClock.now()).await.unwrap();
    let process = deployment.serve().await;
    invoice(&store, root, tenant).await;
    eventually("both have it", async || taken(&server).len() == 2).await;
    let mut receivers: Vec<_> = taken(&server).into_iter().map(|(to, _)| to[0].as_str().unwrap().to_owned()).collect();
    receivers.sort();
    assert_eq!(receivers, ["one@acme.example", "two@acme.example"]);
    let (_, raw) = taken(&server).remove(0);
    assert_eq!(header(&raw, "Subject"), "Rechnung INV-000001 von Root");
    assert_eq!(header(&raw, "From"), "\"Example Billing\" <billing@example.com>");
    assert_eq!((header(&raw, "Reply-To"), header(&raw, "Auto-Submitted")), ("help@example.com", "auto-generated"));
    assert!(raw.contains("multipart/alternative") && raw.contains("text/html"), "{raw}");
    assert!(raw.contains("1.234,50 EUR"), "{raw}");
    assert!(!raw.contains("List-Unsubscribe"), "whoever owes money gets the mail about it");
    eventually("it is noted", async || mail(&store).await.iter().all(|one| one.state == MessageState::Delivered)).await;
    let ids: Vec<String> = mail(&store).await.iter().map(|one| format!("<{}@example.com>", one.id)).collect();
    assert!(taken(&server).iter().all(|(_, raw)| ids.contains(&header(raw, "Message-ID").to_owned())));
    let sent = "tollgate_outbox_tries_total{kind=\"mail\",outcome=\"delivered\"}";
    eventually("it is counted", async || process.metric(sent).await == 2).await;
    // A notice can be unsubscribed from.
    let key = common::key::NewKey {
        expires_at: Some(SystemClock.now().plus_seconds(86_400)),
        ..common::key::NewKey::new(
            tenant,
            "production",
            &common::key::Secret::generate(common::key::Mode::Live),
            &common::key::Pepper::new(b"0123456789abcdef").unwrap(),
        )
    };
    store.create_key(&key, SystemClock.now()).await.unwrap();
    store.tell_expiring_keys(SystemClock.now()).await.unwrap();
    eventually("the notice has come", async || taken(&server).len() == 3).await;
    let (to, raw) = taken(&server).remove(2);
    assert_eq!(
        (to[0].as_str(), header(&raw, "List-Unsubscribe")),
        (Some("billing@acme.example"), "<mailto:stop@example.com>")
    );
}

#[tokio::test]
async fn refused_mail_is_given_up_and_delayed_mail_comes_later() {
    let server = Smtp::start().unwrap();
    for (address, waits, state, said) in [
        ("refused@acme.example", &[][..], MessageState::GivenUp, "5.1.1 no such mailbox"),
        ("grey@acme.example", &[60, 300][..], MessageState::Delivered, "4.7.1 come back later"),
        ("slow@acme.example", &[][..], MessageState::Delivered, ""),
        ("drop@acme.example", &[60][..], MessageState::Delivered, ""),
    ] {
        let deployment = with_mail(server.port(), "tls: none");
        let (store, root) = deployment.store().await;
        let tenant = buyer(&store, root, address).await;
        invoice(&store, root, tenant).await;
        let mut now = SystemClock.now();
        let mut waited = Vec::new();
        let mut results = Vec::new();
        loop {
            run(&deployment, now).await;
            let message = only(&store).await;
            results.push(message.result.unwrap_or_default());
            if message.state != MessageState::Pending {
                assert_eq!(message.state, state, "{address}: {results:?}");
                break;
            }
            waited.push((message.due_at.0 - now.0) / Micros::PER_SECOND);
            now = message.due_at;
        }
        assert_eq!(waited, waits, "{address}: {results:?}");
        assert!(results[0].contains(said), "{address}: {results:?}");
        let came = taken(&server).iter().filter(|(to, _)| to[0] == address).count();
        assert_eq!(came, usize::from(state == MessageState::Delivered), "{address}");
    }
}

#[tokio::test]
async fn mail_whose_answer_was_lost_comes_again_with_the_same_id() {
    let server = Smtp::start().unwrap();
    let deployment = with_mail(server.port(), "tls: none");
    let (store, root) = deployment.store().await;
    let tenant = buyer(&store, root, "lost@acme.example").await;
    invoice(&store, root, tenant).await;
    let now = SystemClock.now();
    run(&deployment, now).await;
    assert_eq!(only(&store).await.state, MessageState::Pending);
    run(&deployment, now.plus_seconds(60)).await;
    assert_eq!(only(&store).await.state, MessageState::Delivered);
    let came = taken(&server);
    assert_eq!(came.len(), 2);
    for name in ["Message-ID", "Date", "Subject"] {
        assert_eq!(header(&came[0].1, name), header(&came[1].1, name));
    }
}

#[tokio::test]
async fn certificate_and_password_are_checked_and_mail_waits_until_they_are_right() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "authority").unwrap();
    let stranger = Authority::create(directory.path(), "stranger").unwrap();
    let identity = authority.sign("localhost").unwrap();
    let access = SmtpAccess {
        certificate: identity.certificate.clone(),
        key: identity.key.clone(),
        user: "tollgate".into(),
        password: "right".into(),
    };
    let server = Smtp::secured(access).unwrap();
    let password = directory.path().join("password");
    let settings = |authority: &Authority, word: &str| {
        std::fs::write(&password, word).unwrap();
        format!("username: tollgate, password_file: {}, ca_file: {}", password.display(), authority.file().display())
    };
    let deployment = with_mail(server.port(), &settings(&stranger, "right"));
    let (store, root) = deployment.store().await;
    let tenant = buyer(&store, root, "billing@acme.example").await;
    invoice(&store, root, tenant).await;
    let mut now = SystemClock.now();
    for (settings, said) in [
        (settings(&stranger, "right"), "certificate"),
        ("tls: none".to_owned(), "530"),
        (settings(&authority, "wrong"), "535"),
    ] {
        let other = with_mail(server.port(), &settings);
        let text = std::fs::read_to_string(other.path("billing.yaml")).unwrap();
        std::fs::write(deployment.path("billing.yaml"), text.replace(&other.url(), &deployment.url())).unwrap();
        run(&deployment, now).await;
        let message = only(&store).await;
        assert_eq!(message.state, MessageState::Pending, "{said}: {message:?}");
        assert!(message.result.as_deref().unwrap().contains(said), "{said}: {message:?}");
        now = message.due_at;
    }
    let other = with_mail(server.port(), &settings(&authority, "right"));
    let text = std::fs::read_to_string(other.path("billing.yaml")).unwrap();
    std::fs::write(deployment.path("billing.yaml"), text.replace(&other.url(), &deployment.url())).unwrap();
    run(&deployment, now).await;
    assert_eq!(only(&store).await.state, MessageState::Delivered, "{:?}", only(&store).await);
    assert_eq!(taken(&server).len(), 1);
}

#[tokio::test]
async fn mail_without_an_address_is_told_and_goes_once_there_is_one() {
    let server = Smtp::start().unwrap();
    let deployment = with_mail(server.port(), "tls: none");
    let (store, root) = deployment.store().await;
    let tenant = customer(&store, root, "Acme", "UTC", "growth").await.id;
    invoice(&store, root, tenant).await;
    run(&deployment, SystemClock.now()).await;
    let told = only(&store).await;
    assert_eq!(told.state, MessageState::GivenUp);
    let listed = stdout(&deployment.run(&["outbox", "--state", "given_up", "--store", &deployment.url()]).await);
    assert!(listed.contains("has no address for mail about invoices"), "{listed}");
    let details = BillingDetails { email: Some("late@acme.example".into()), ..BillingDetails::default() };
    store.set_billing_details(tenant, &details, SystemClock.now()).await.unwrap();
    let replay = ["outbox", "replay", &told.id.to_string(), "--store", &deployment.url()];
    assert!(deployment.run(&replay).await.status.success());
    run(&deployment, SystemClock.now()).await;
    let came = taken(&server);
    assert_eq!((came.len(), came[0].0[0].as_str()), (1, Some("late@acme.example")));
    assert!(mail(&store).await.iter().all(|message| message.state == MessageState::Delivered));
}

#[tokio::test]
async fn templates_are_checked_and_previewed() {
    let deployment = Deployment::new();
    let folder = deployment.path("templates");
    std::fs::create_dir_all(folder.join("de")).unwrap();
    let file = folder.join("de/invoice.txt");
    std::fs::write(&file, "Subject: Ihre Rechnung {{ data.number }}\n\nBitte zahlen Sie {{ data.open | amount }}.\n")
        .unwrap();
    let folder = folder.display().to_string();
    let preview = ["mail", "preview", "invoice", "--language", "de", "--templates", &folder];
    let shown = stdout(&deployment.run(&preview).await);
    assert_eq!(shown, "Subject: Ihre Rechnung INV-000042\n\nBitte zahlen Sie 1.234,50.\n");
    let html = stdout(&deployment.run(&["mail", "preview", "receipt", "--html", "--templates", &folder]).await);
    assert!(html.contains("<!doctype html>") && html.contains("1,234.50 EUR"), "{html}");
    assert!(deployment.run(&["mail", "check", "--templates", &folder]).await.status.success());
    std::fs::write(&file, "Subject: a\n\n{{ data.number }\n").unwrap();
    let refused = deployment.run(&["mail", "check", "--templates", &folder]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("de/invoice.txt:3: syntax error"), "{}", stderr(&refused));
    // A server does not start with them.
    let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    let mail = format!("mail: {{ server: 'localhost:2525', from: a@example.com, templates: {folder} }}\n");
    std::fs::write(deployment.path("billing.yaml"), settings + &mail).unwrap();
    deployment.store().await;
    let serve = deployment.run(&["serve", "--config", "billing.yaml"]).await;
    assert_eq!(serve.status.code(), Some(1));
    assert!(stderr(&serve).contains("de/invoice.txt:3: syntax error"), "{}", stderr(&serve));
    let unknown = deployment.run(&["mail", "preview", "greeting"]).await;
    assert_eq!(unknown.status.code(), Some(2));
}

#[tokio::test]
async fn invoices_credit_notes_and_receipts_are_attached_as_pdf_and_go_out_without_it_if_nothing_makes_it() {
    let server = Smtp::start().unwrap();
    let documents = servers::documents_program().unwrap().display().to_string();
    for (address, program, is_attached) in
        [("pdf@acme.example", documents.as_str(), true), ("plain@acme.example", "/nowhere/documents", false)]
    {
        let deployment = with_mail(server.port(), "tls: none");
        let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
        let more = format!("documents: {{ program: '{program}', timeout_seconds: 300 }}\n");
        std::fs::write(deployment.path("billing.yaml"), settings + &more).unwrap();
        let (store, root) = deployment.store().await;
        let tenant = buyer(&store, root, address).await;
        let (id, now) = (invoice(&store, root, tenant).await, SystemClock.now());
        let note = NewCreditNote { lines: vec![(0, 10_000)], reason: "a day of outage".into() };
        store.issue_credit_note(id, &note, now).await.unwrap();
        let payment = NewPayment {
            invoice: id,
            amount: Money::from_minor(113_450, Currency::EUR),
            method: "bank_transfer".into(),
            reference: "1".into(),
            received_at: now,
        };
        store.record_payment(&payment, now).await.unwrap();
        run(&deployment, now.plus_seconds(60)).await;
        let all = taken(&server);
        let raw: Vec<&str> = all.iter().filter(|(to, _)| to[0] == address).map(|(_, raw)| raw.as_str()).collect();
        assert_eq!(raw.len(), 3, "{all:?}");
        for name in ["INV-000001.pdf", "INV-CN-000001.pdf", "receipt-INV-000001.pdf"] {
            let named = raw.iter().filter(|raw| raw.contains(&format!("filename=\"{name}\""))).count();
            assert_eq!(named, usize::from(is_attached), "{name}");
        }
        // The beginning of a PDF, in base64.
        let files = raw.iter().filter(|raw| raw.contains("application/pdf") && raw.contains("JVBERi0")).count();
        assert_eq!(files, if is_attached { 3 } else { 0 });
    }
}

#[tokio::test]
async fn mail_of_a_reseller_comes_in_its_name_and_colour_and_is_answered_to_it() {
    let server = Smtp::start().unwrap();
    let deployment = with_mail(server.port(), "tls: none, reply_to: help@example.com");
    let (store, root) = deployment.store().await;
    let now = SystemClock.now();
    let reseller = NewTenant {
        parent: Some(root),
        kind: TenantKind::Reseller,
        name: "Partner".into(),
        zone: "UTC".parse().unwrap(),
        plan: None,
    };
    let reseller = store.create_tenant(&reseller, now).await.unwrap().id;
    let details = BillingDetails { legal_name: Some("Partner, Söhne & Co".into()), ..BillingDetails::default() };
    store.set_billing_details(reseller, &details, now).await.unwrap();
    let contact = Contact { email: Some("rechnung@partner.example".into()), ..Contact::default() };
    let branding = Branding { colour: Some("#7c2d12".into()), contact: Some(contact), ..Branding::default() };
    store.set_branding(reseller, &branding, now).await.unwrap();
    let tenant = buyer(&store, reseller, "billing@acme.example").await;
    let _process = deployment.serve().await;
    invoice(&store, reseller, tenant).await;
    eventually("it has come", async || taken(&server).len() == 1).await;
    let (_, raw) = taken(&server).remove(0);
    let from = raw.split_once("From: ").unwrap().1.split_once("Reply-To").unwrap().0;
    assert!(from.contains("<billing@example.com>") && !from.contains("Example Billing"), "{from}");
    assert_eq!(header(&raw, "Reply-To"), "rechnung@partner.example");
    let parsed = Command::new("python3").args(["-c", NAME_OF_SENDER, &raw]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&parsed.stdout).trim(), "Partner, Söhne & Co", "{parsed:?}");
    // Long lines are broken with `=` on their way.
    let html = raw.replace("=\r\n", "").replace("=\n", "");
    assert!(html.contains("#7c2d12") && html.contains("rechnung@partner.example"), "{html}");
}

/// Prints the name of a mail's sender, as a mail program would show it.
const NAME_OF_SENDER: &str = "import email, email.policy, sys; \
    print(email.message_from_string(sys.argv[1], policy=email.policy.default)['From'].addresses[0].display_name)";
