//! Checks after each day, and once the year is over.

use std::collections::{BTreeMap, HashMap, HashSet};

use billing::reconcile::reconcile;
use common::ledger::Account;
use serde_json::Value;

use crate::{
    calendar::Day,
    day::address,
    model::{self, Bill},
    receiver::Taken,
    tenants::{Act, LIVES, Life},
    world::World,
};

/// Tenants whose mail comes late: their server asks for another try, or breaks off.
const LATE_MAIL: [&str; 2] = ["grey", "lost"];

/// Events of one thing: a tenant, and the place of its invoice, or none for its subscriptions.
type EventsOfDay = BTreeMap<(&'static str, Option<usize>), Vec<String>>;

/// Findings so far, and the expectations of the model.
pub(crate) struct Checks {
    bills: HashMap<&'static str, Vec<Bill>>,
    /// Invoices by id: the tenant, the place among its invoices, the number.
    invoices: HashMap<String, (&'static str, usize, String)>,
    /// Subjects of the mail of a tenant, in their order.
    mail: HashMap<&'static str, Vec<String>>,
    /// Events that were looked at.
    seen: usize,
    ids: HashSet<String>,
    faults: Vec<String>,
}

impl Checks {
    pub(crate) fn new() -> Self {
        let bills = LIVES.iter().map(|life| (life.name, model::bills(life))).collect();
        let (invoices, mail, ids) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { bills, invoices, mail, seen: 0, ids, faults: Vec::new() }
    }

    /// All that must hold after a day.
    pub(crate) async fn after(&mut self, world: &mut World, day: Day) {
        let found = self.events(world, day);
        let expected = self.expected(day);
        for place in expected.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
            let (expected, found) = (expected.get(place), found.get(place));
            if expected != found {
                let (tenant, about) = (place.0, place.1.map_or("plan".to_owned(), |place| format!("invoice {place}")));
                self.fault(day, tenant, &format!("events of its {about}"), &expected, &found);
            }
        }
        self.faults.extend(world.receiver.faults().into_iter().map(|fault| format!("{day}: {fault}")));
        self.mail(world, day, false);
        self.gateway(world, day).await;
        self.books(world, day).await;
        assert!(self.faults.is_empty(), "\n{}\n", self.faults.join("\n"));
    }

    /// Checks once the year is over.
    pub(crate) async fn at_the_end(&mut self, world: &mut World, day: Day) {
        for life in &LIVES {
            let (expected, found) = (self.bills[life.name].len(), self.invoices_of(life).count());
            if expected != found {
                self.fault(day, life.name, "number of invoices", &expected, &found);
            }
        }
        self.mail(world, day, true);
        // A mailbox that broke off before its answer has one mail twice, under one `Message-ID`.
        let again: Vec<_> =
            world.mailbox.again.iter().map(|mail| mail.to.split('@').next().unwrap_or_default()).collect();
        assert_eq!(again, ["lost"], "mail that came again");
        Self::endpoint_of_reseller(world);
        let charged = world.stripe.charged().await;
        let expected: Vec<_> = model::charged_by_card().into_iter().map(|(code, sum)| (code.to_owned(), sum)).collect();
        assert_eq!(charged, expected, "Stripe's books");
        let (requests, refused) = world.stripe.judged();
        assert!(refused.is_empty() && requests > 200, "{requests} requests to Stripe, refused: {refused:?}");
        let wallet = world.api.get(&format!("/v1/tenants/{}/wallet", world.tenant("Milo").id)).await;
        assert_eq!(wallet["wallets"][0]["balance"], model::wallet(), "Milo's wallet: {wallet}");
        let balances = world.store.trial_balance(world.root, None).await.unwrap();
        let of = |account| balances.iter().filter(move |one| one.account == account && !one.amount.is_zero());
        let fees: Vec<_> = of(Account::Fees).map(|one| (one.amount.currency().code(), one.amount.minor())).collect();
        assert_eq!((fees, of(Account::Disputed).count()), (model::fees().to_vec(), 0), "what disputes have cost");
        for state in ["pending", "given_up"] {
            let list = world.api.get(&format!("/v1/outbox?state={state}")).await;
            assert_eq!(list["items"], Value::Array(Vec::new()), "messages that are {state}");
        }
        assert!(self.faults.is_empty(), "\n{}\n", self.faults.join("\n"));
    }

    /// Events of the day at the endpoint of the root, by what they are about.
    fn events(&mut self, world: &World, day: Day) -> EventsOfDay {
        let taken = world.receiver.taken("/root");
        let mut found = EventsOfDay::new();
        for event in &taken[self.seen..] {
            if !self.ids.insert(event.id.clone()) {
                self.faults.push(format!("{day}: {} {} came twice", event.kind, event.id));
            }
            let tenant = LIVES
                .iter()
                .find(|life| world.tenants.get(life.name).is_some_and(|one| one.id.to_string() == event.tenant));
            let Some(life) = tenant else {
                self.faults.push(format!("{day}: {event:?} is of nobody"));
                continue;
            };
            if event.kind == "invoice.finalized" {
                self.finalized(life, event, day);
            }
            let invoice = invoice_of(event).map(|id| self.invoices.get(id).map_or(usize::MAX, |(_, place, _)| *place));
            found.entry((life.name, invoice)).or_default().push(event.kind.clone());
            if let Some(subject) = self.subject(event) {
                self.mail.entry(life.name).or_default().push(subject);
            }
        }
        self.seen = taken.len();
        found
    }

    /// An invoice of a tenant: its amount is that of the model.
    fn finalized(&mut self, life: &'static Life, event: &Taken, day: Day) {
        let place = self.invoices_of(life).count();
        let text = |member: &str| event.data[member].as_str().unwrap_or_default().to_owned();
        let found = format!("{} {}", text("total"), text("currency"));
        let expected =
            self.bills[life.name].get(place).map(|bill| format!("{} {}", bill.total, model::currency_of(life)));
        if expected.as_ref() != Some(&found) {
            self.fault(day, life.name, &format!("total of its invoice {place}"), &expected, &found);
        }
        self.invoices.insert(text("id"), (life.name, place, text("number")));
    }

    fn invoices_of<'a>(&'a self, life: &'a Life) -> impl Iterator<Item = &'a (&'static str, usize, String)> {
        self.invoices.values().filter(|(tenant, ..)| *tenant == life.name)
    }

    /// Events that the model expects on a day.
    fn expected(&self, day: Day) -> EventsOfDay {
        let mut expected = EventsOfDay::new();
        for life in &LIVES {
            for (place, bill) in self.bills[life.name].iter().enumerate() {
                for (_, kind) in bill.told.iter().filter(|(on, _)| *on == day) {
                    expected.entry((life.name, Some(place))).or_default().push((*kind).to_owned());
                }
            }
            for _ in life.acts_on(day).filter(|act| changes_plan(*act)) {
                expected.entry((life.name, None)).or_default().push("subscription.changed".to_owned());
            }
        }
        expected
    }

    /// Subject of the mail that an event causes, if it does.
    fn subject(&self, event: &Taken) -> Option<String> {
        let number = invoice_of(event).and_then(|id| self.invoices.get(id)).map(|(_, _, number)| number.as_str());
        let (number, issuer) = (number.unwrap_or_default(), event.data["issuer"]["name"].as_str().unwrap_or_default());
        Some(match event.kind.as_str() {
            "invoice.finalized" => format!("Invoice {number} from {issuer}"),
            "payment.succeeded" => format!("Receipt: payment of invoice {number}"),
            "payment.failed" => format!("Payment of invoice {number} failed"),
            "payment.action_required" => format!("Please confirm the payment of invoice {number}"),
            "invoice.unpaid" => format!("Reminder: invoice {number} is not paid"),
            "credit_note.created" => {
                format!("Credit note {} from {issuer}", event.data["number"].as_str().unwrap_or_default())
            }
            _ => return None,
        })
    }

    /// Each mail has come once, in the order of the events.
    fn mail(&mut self, world: &mut World, day: Day, is_last: bool) {
        world.mailbox.look();
        for life in LIVES.iter().filter(|life| is_last || !LATE_MAIL.contains(&life.mailbox)) {
            let to = address(life);
            let found: Vec<_> =
                world.mailbox.mail.iter().filter(|mail| mail.to == to).map(|mail| &mail.subject).collect();
            let expected: Vec<_> = self.mail.get(life.name).into_iter().flatten().collect();
            if found != expected {
                let text = format!("{day} {}: mail: expected {expected:?}, found {found:?}", life.name);
                self.faults.push(text);
            }
        }
    }

    /// Suspended tenants and all below them are refused by the gateway, until they have paid; all others
    /// are served. That is asked from two days before a suspension to two days after it.
    async fn gateway(&mut self, world: &World, day: Day) {
        let suspensions = model::suspensions();
        if !suspensions.iter().any(|one| day >= one.from.plus(-2) && day <= one.to.plus(2)) {
            return;
        }
        for life in LIVES.iter().filter(|life| life.joined() <= day && !life.is_leaving(day)) {
            let is_refused =
                suspensions.iter().any(|one| one.of.contains(&life.name) && day >= one.from && day < one.to);
            world.traffic.becomes(&world.tenant(life.name).key, if is_refused { 402 } else { 404 }, life.name).await;
        }
    }

    /// The audit is clean, and the trial balance of each issuer is zero in each currency.
    async fn books(&mut self, world: &World, day: Day) {
        let report = reconcile(&world.store, None).await.unwrap();
        if !report.clean {
            self.faults.push(format!("{day}: billing audit: {:?}", report.faults()));
        }
        for (name, issuer) in [("Root", world.root), ("Karo", world.reseller)] {
            let mut sums = BTreeMap::new();
            for balance in world.store.trial_balance(issuer, None).await.unwrap() {
                *sums.entry(balance.amount.currency().code()).or_insert(0) += balance.amount.minor();
            }
            if sums.values().any(|sum| *sum != 0) {
                self.fault(day, name, "trial balance", &0, &sums);
            }
        }
    }

    /// The endpoint of the reseller has what the root's has of its subtree, in the same order, though it
    /// took nothing for two days.
    fn endpoint_of_reseller(world: &World) {
        let own: Vec<String> = ["Karo", "Lara", "Milo"].map(|name| world.tenant(name).id.to_string()).into();
        let by_object = |path: &str| {
            let mut objects = BTreeMap::<String, Vec<String>>::new();
            for event in world.receiver.taken(path).iter().filter(|event| own.contains(&event.tenant)) {
                let object = invoice_of(event).unwrap_or(&event.tenant).to_owned();
                objects.entry(object).or_default().push(event.id.clone());
            }
            objects
        };
        assert_eq!(by_object("/karo"), by_object("/root"), "events of the reseller's subtree");
    }

    fn fault(
        &mut self,
        day: Day,
        tenant: &str,
        about: &str,
        expected: &dyn std::fmt::Debug,
        found: &dyn std::fmt::Debug,
    ) {
        self.faults.push(format!("{day} {tenant}: {about}: expected {expected:?}, found {found:?}"));
    }
}

/// The id of the invoice that an event is about.
fn invoice_of(event: &Taken) -> Option<&str> {
    match event.kind.split_once('.').map(|(noun, _)| noun) {
        Some("invoice") => event.data["id"].as_str(),
        Some("payment" | "credit_note") => event.data["invoice"].as_str(),
        _ => None,
    }
}

/// Returns true if others hear of an act as a change of the tenant's plan.
fn changes_plan(act: Act) -> bool {
    matches!(
        act,
        Act::Joins { .. } | Act::Takes(_) | Act::TakesLater(_) | Act::GetsNewPrice | Act::Pauses(_) | Act::Cancels
    )
}
