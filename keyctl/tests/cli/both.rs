//! The same commands on a store and through the admin API of a running `billing serve` come out the
//! same.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use common::{
    key::Mode,
    time::Micros,
    usage::{StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PEPPER, Run, run, text};

/// `billing serve` on a store, for as long as it is held.
pub(crate) struct Billing {
    process: Child,
    pub(crate) url: String,
}

/// One of the two: a fixture, and the API that its store is worked on through, if it is.
struct Side {
    fixture: Fixture,
    api: Option<(Billing, String)>,
    /// Ids that commands have created, by the names that the script gives them.
    ids: HashMap<String, String>,
    /// Every id that was seen, in order: the same place in the order is the same resource.
    seen: Vec<String>,
}

/// One step of the script: the name of what it creates, and the words, with such names in braces.
type Step = (&'static str, &'static str);

const PLANS: &str = r#"
plans:
  - id: basic
    name: Basic
    currency: EUR
    flat_fee: "10.00"
    charges: [{ meter: requests, included: 10, tiers: [{ price: { amount: "0.50", per: 3 } }] }]
    quotas: [{ meter: requests, per_month: 1000 }, { meter: tokens, per_month: 5, kind: soft }]
    limits: { tenant: { per_second: { limit: 10, burst: 20 }, concurrent: 3 }, key: { per_minute: 7 } }
  - id: wide
    name: Wide
    currency: EUR
    flat_fee: "0.00"
    prepaid: [tokens]
    limits: { tenant: { per_second: 100 }, pool: { per_second: 500 } }
  - id: seat
    name: Seat
    currency: EUR
    flat_fee: "5.00"
"#;

const CATALOG: &str = r#"
catalog: 1
tenants:
  - { ref: top, name: Example API, kind: root }
  - { ref: fresh, parent: top, name: Fresh, zone: Europe/Berlin, subscription: { plan: basic, discount_percent: "7.50" } }
"#;

const SCRIPT: &[Step] = &[
    ("", "plan apply plans.yaml"),
    ("", "plan apply plans.yaml"),
    ("", "plan list"),
    ("", "plan show basic --version 1"),
    ("north", "tenant create --name North --parent {root} --kind reseller --plan basic --time-zone Europe/Berlin"),
    ("south", "tenant create --name South --parent {root} --kind reseller"),
    ("acme", "tenant create --name Acme --parent {north} --plan wide"),
    ("inheriting", "tenant create --name Inheriting --parent {north}"),
    ("", "tenant list"),
    ("", "tenant list --parent {north}"),
    ("", "tenant show {acme}"),
    ("", "tenant limits {acme}"),
    ("", "tenant limits {inheriting}"),
    ("", "tenant limits {south}"),
    ("", "tenant update {acme} --name Acme-GmbH"),
    ("", "tenant suspend {acme}"),
    ("", "tenant list --status suspended"),
    ("", "tenant resume {acme}"),
    ("", "tenant move {acme} --parent {south}"),
    ("", "tenant move {south} --parent {south}"),
    ("", "tenant delete {south}"),
    ("", "plan assign basic --tenant {acme} --from period-end"),
    ("", "plan assign basic --tenant {inheriting} --version 1"),
    ("", "plan assign basic --tenant {inheriting} --from 2020-01-01T00:00:00Z"),
    ("", "tenant plans {acme}"),
    ("", "plan deprecate wide"),
    ("", "plan assign wide --tenant {inheriting}"),
    ("", "plan restore wide"),
    ("", "plan apply changed.yaml"),
    ("", "plan versions basic"),
    ("", "plan migrate basic"),
    ("", "plan pause --tenant {inheriting} --until 2099-01-01T00:00:00Z"),
    ("", "tenant plans {inheriting}"),
    ("", "plan resume --tenant {inheriting}"),
    ("", "plan pause --tenant {south}"),
    ("", "plan add-on seat --tenant {acme} --quantity 5 --from period-end"),
    ("", "plan add-on basic --tenant {acme} --quantity 5"),
    ("", "plan add-on --tenant {acme}"),
    ("", "coupon create SPRING-26 --percent 20 --periods 3 --plan basic"),
    ("", "coupon create SPRING-26 --percent 21"),
    ("", "coupon create WELCOME --amount 5.00 --currency EUR --most 1"),
    ("", "coupon create TOO-MUCH --percent 120 --forever"),
    ("", "coupon redeem SPRING-26 --tenant {acme}"),
    ("", "coupon redeem WELCOME --tenant {acme}"),
    ("", "coupon redeem WELCOME --tenant {inheriting}"),
    ("", "coupon redeem NOTHING --tenant {acme}"),
    ("", "coupon remove WELCOME --tenant {acme}"),
    ("", "coupon list --tenant {acme}"),
    ("", "coupon archive SPRING-26"),
    ("", "coupon redeem SPRING-26 --tenant {inheriting}"),
    ("", "coupon list"),
    ("", "plan end --tenant {inheriting}"),
    ("main", "key create --tenant {acme} --name main --scopes search --allowed-ips 203.0.113.7"),
    ("ci", "key create --tenant {inheriting} --name ci --test --expires 2099-01-01T00:00:00Z"),
    ("", "key create --tenant {inheriting} --name late --expires 2020-01-01T00:00:00Z"),
    ("", "key show {main}"),
    ("", "key update {main} --any-route --allowed-ips 2001:db8::/32"),
    ("next", "key rotate {main} --grace 1h"),
    ("", "key revoke {ci}"),
    ("", "key rotate {ci}"),
    ("", "key list"),
    ("", "key list --subtree-of {north} --status revoked"),
    ("machine", "admin-key create --tenant {north} --name machine --role admin --scopes keys:write"),
    ("", "admin-key list --subtree-of {north}"),
    ("", "admin-key revoke {machine}"),
    ("", "credit add --tenant {acme} --meter tokens --units 500 --reference order-1"),
    ("", "credit add --tenant {acme} --meter tokens --units 501 --reference order-1"),
    ("", "credit show --tenant {acme}"),
    ("", "usage record --tenant {acme} --meter tokens --units 5 --source jobs --id 1"),
    ("", "usage record --tenant {acme} --meter tokens --units 5 --source jobs --id 1"),
    ("", "usage record --tenant {acme} --meter tokens --units 6 --source jobs --id 1"),
    ("", "usage record --tenant {acme} --meter tokens --units 6 --source jobs --id 2 --time 1999-01-01T00:00:00Z"),
    ("", "usage amend --tenant {acme} --source jobs --id 1 --units 4 --reason slip"),
    ("", "usage revert --tenant {acme} --source jobs --id 1 --reason slip"),
    ("", "usage revert --tenant {acme} --source jobs --id 2 --reason slip"),
    ("", "usage events --tenant {acme}"),
    ("grant", "wallet grant --tenant {acme} --amount 25.00 --currency EUR --reference order-1"),
    ("", "wallet grant --tenant {acme} --amount 26.00 --currency EUR --reference order-1"),
    ("", "wallet show --tenant {acme}"),
    ("", "wallet void {grant} --tenant {acme} --reason slip"),
    ("", "wallet grants --tenant {acme}"),
    ("", "wallet policy --tenant {acme} --currency EUR --overdraft 5"),
    ("", "wallet policy --tenant {acme} --currency EUR --below 5 --to 4"),
    ("", "wallet top-ups --tenant {acme}"),
    ("", "wallet confirm top_01jd0000000000000000000009 --tenant {acme}"),
    ("", "invoice issue --tenant {acme} --issuer {south} --currency EUR --line Work=10.00"),
    ("", "payment import {south} statement.csv --profile bank.yaml"),
    ("", "payment import {south} statement.csv --profile bank.yaml"),
    ("", "payment import {south} statement.csv"),
    ("", "payment entries {south}"),
    ("", "payment entries {south} --status open"),
    ("", "payment assign bke_01jd0000000000000000000009 --wallet {acme}"),
    ("", "payment ignore bke_01jd0000000000000000000009 --reason slip"),
    ("hooks", "webhook create --tenant {acme} --name CRM --url https://hooks.invalid/x --types invoice.paid"),
    ("", "webhook create --tenant {acme} --name CRM --url ftp://192.0.2.1/hooks"),
    ("", "webhook list --tenant {acme}"),
    ("", "webhook update {hooks} --tenant {acme} --all-types --below true --disable"),
    ("", "webhook update {hooks} --tenant {acme} --name ,"),
    ("", "webhook show {hooks} --tenant {acme}"),
    ("", "webhook show {hooks} --tenant {north}"),
    ("", "webhook replay {hooks} --tenant {acme} --last 365d"),
    ("", "webhook update {hooks} --tenant {acme} --enable"),
    ("", "webhook replay {hooks} --tenant {acme} --last 365d --delivered"),
    ("", "webhook rotate {hooks} --tenant {acme} --grace 1h"),
    ("", "webhook delete {hooks} --tenant {acme}"),
    ("", "mail set --tenant {acme} --language de --to invoices=a@example.com --to invoices=b@example.com --none usage"),
    ("", "mail set --tenant {acme} --to keys=a@example.com --to keys=a@example.com"),
    ("", "mail show --tenant {acme}"),
    ("", "payment disputes"),
    ("", "payment disputes --status open --tenant ten_01jd0000000000000000000009"),
    ("", "payment payouts --tenant {acme}"),
    ("", "payment payouts --unmatched"),
    ("", "payment payout {acme} pyo_01jd0000000000000000000009"),
    ("", "outbox list"),
    ("", "outbox list --tenant ten_01jd0000000000000000000009"),
    ("", "outbox replay msg_01jd0000000000000000000009 --tenant {acme}"),
    ("", "apply -f catalog.yaml"),
    ("", "diff -f catalog.yaml"),
    ("", "apply -f faulty.yaml"),
    ("", "export"),
    ("", "tenant delete {inheriting}"),
    ("", "tenant list --status deleted"),
    ("", "tenant show ten_01jd0000000000000000000009"),
    ("", "tenant list --subtree-of ten_01jd0000000000000000000009"),
    ("", "key show key_01jd0000000000000000000009"),
    ("", "plan show nowhere"),
];

/// Commands that read, run once usage is booked.
const READING: &[Step] = &[
    ("", "usage show --period 2026-11 --by tenant"),
    ("", "usage show --period 2026-11 --by key"),
    ("", "usage show --period 2026-11 --by hour"),
    ("", "usage show --period 2026-11 --by route --tenant {acme}"),
    (
        "",
        "usage report --tenant {root} --subtree --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --by tenant,mode",
    ),
    ("", "usage report --tenant {acme} --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z --step hour --by key"),
    ("", "usage report --tenant {north} --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z"),
    ("", "audit-log list --tenant {north}"),
    ("", "audit-log list --subject {main}"),
    ("", "audit-log list --tenant {acme} --action key.create"),
];

impl Billing {
    fn serve(fixture: &Fixture) -> Self {
        Self::serve_with(fixture, "")
    }

    /// With these lines of settings, too.
    pub(crate) fn serve_with(fixture: &Fixture, more: &str) -> Self {
        let settings = format!("listen: 127.0.0.1:0\nstore: {}\n{more}", fixture.url());
        let settings = fixture.file("billing.yaml", &settings);
        let program = Path::new(env!("CARGO_BIN_EXE_keyctl")).with_file_name("billing");
        let mut command = Command::new(&program);
        command.args(["serve", "--config"]).arg(settings).env("TOLLGATE_PEPPER", PEPPER).env_remove("TOLLGATE_STORE");
        let started = command.env("RUST_LOG", "billing=info").stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = started.unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build -p billing` builds it", program.display());
        });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let events = lines.by_ref().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let address = events.map(|event| event["listen"].clone()).find(Value::is_string);
        // Whoever is not read from stops.
        std::thread::spawn(move || lines.for_each(drop));
        let scheme = if more.contains("tls:") { "https" } else { "http" };
        let url = format!("{scheme}://{}", text(&address.unwrap()));
        Self { process, url }
    }
}

impl Drop for Billing {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Side {
    /// A fixture with a root and an owner's admin key.
    async fn new(is_api: bool) -> Self {
        let fixture = Fixture::new().await;
        fixture.file("plans.yaml", PLANS);
        fixture.file("bank.yaml", "account: DE1\ncurrency: EUR\n");
        fixture.file("statement.csv", "date,amount,text\n2026-11-20,10.00,INV-000001\n2026-11-20,1.00,a\n");
        fixture.file("changed.yaml", &PLANS.replace("10.00", "12.00"));
        fixture.file("catalog.yaml", CATALOG);
        fixture.file("faulty.yaml", &CATALOG.replace("parent: top", "parent: nowhere").replace("growth", "nothing"));
        let root = fixture.root();
        let owner = ["admin-key", "create", "--tenant", &root, "--name", "owner", "--role", "owner"];
        let token = text(&fixture.json(&owner)["secret"]);
        let api = is_api.then(|| (Billing::serve(&fixture), token));
        Self { fixture, api, ids: HashMap::from([("root".to_owned(), root)]), seen: Vec::new() }
    }

    fn run(&self, line: &str, form: &str) -> Run {
        let line = self.ids.iter().fold(line.to_owned(), |line, (name, id)| line.replace(&format!("{{{name}}}"), id));
        let mut command = self.fixture.command();
        if let Some((billing, token)) = &self.api {
            // It must do without the store and the pepper.
            command.env_remove("TOLLGATE_PEPPER").env("TOLLGATE_STORE", "sqlite://nowhere.db");
            command.env("TOLLGATE_API", &billing.url).env("TOLLGATE_API_TOKEN", token);
        }
        let ended = run(command.args(["--output", form]).args(line.split(' ')), "");
        if let Some((_, token)) = &self.api {
            assert!(!ended.stdout.contains(token) && !ended.stderr.contains(token), "{line}");
        }
        ended
    }

    /// The exit code and output of a step, without what differs from one fixture to the next.
    fn step(&mut self, (name, line): Step) -> (i32, Value) {
        let ended = self.run(line, "json");
        let said = if ended.code == 0 { &ended.stdout } else { &ended.stderr };
        let said: Value = serde_json::from_str(said).unwrap_or_else(|error| panic!("{line}: {error}: {ended:?}"));
        if !name.is_empty() {
            let created = [&said["id"], &said["key"]["id"], &said["new"]["id"], &said["endpoint"]["id"]]
                .into_iter()
                .find(|id| id.is_string());
            let id = text(created.unwrap_or_else(|| panic!("{line}: {ended:?}")));
            self.ids.insert(name.to_owned(), id);
        }
        (ended.code, self.alike(said))
    }

    fn alike(&mut self, value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(|item| self.alike(item)).collect(),
            Value::Object(members) => {
                let alike = members.into_iter().map(|(name, value)| {
                    let differs =
                        ["hint", "secret", "pepper_id", "refused_requests", "actor", "request_id", "created_by"];
                    // The log has the times as numbers, and what the pepper made.
                    let is_unlike = differs.contains(&name.as_str()) || (value.is_i64() && name.ends_with("_at"));
                    let value = if is_unlike { Value::Null } else { self.alike(value) };
                    (name, value)
                });
                Value::Object(alike.collect())
            }
            Value::String(text) => {
                let words: Vec<_> = text.split(' ').map(|word| self.alike_word(word)).collect();
                words.join(" ").into()
            }
            other => other,
        }
    }

    fn alike_word(&mut self, word: &str) -> String {
        let bare = word.trim_end_matches([':', ',', ';']);
        if ["ten_", "key_", "adk_", "grt_", "whk_", "msg_", "evt_", "inv_", "pay_", "bke_"]
            .iter()
            .any(|prefix| bare.starts_with(prefix))
        {
            let known = self.seen.iter().position(|id| id == bare);
            let place = known.unwrap_or_else(|| {
                self.seen.push(bare.to_owned());
                self.seen.len() - 1
            });
            return word.replace(bare, &format!("{}{place}", &bare[..4]));
        }
        // Only what happens during the test has fractions of a second.
        let is_now = bare.parse::<Micros>().is_ok() && bare.contains('.');
        if is_now { word.replace(bare, "NOW") } else { word.to_owned() }
    }

    async fn book(&self) {
        let request = |tenant: &str, key: &str, at: &str, units: u64, mode: Mode| {
            UsageEntry::Request(UsageRecord {
                at: at.parse().unwrap(),
                tenant: self.ids[tenant].parse().unwrap(),
                key: self.ids[key].parse().unwrap(),
                route: "search".into(),
                meter: "requests".into(),
                units,
                status: 200,
                billable: true,
                mode,
                prepaid: false,
            })
        };
        let entries = vec![
            request("acme", "next", "2026-11-10T10:10:00Z", 3, Mode::Live),
            request("acme", "next", "2026-11-10T11:10:00Z", 4, Mode::Live),
            request("acme", "next", "2026-11-30T23:59:59Z", 5, Mode::Live),
            request("inheriting", "ci", "2026-11-10T10:10:00Z", 2, Mode::Test),
        ];
        let batch = UsageBatch { stream: StreamId::new("edge-1", 1, 0).unwrap(), first_seq: 0, entries };
        self.fixture.store.book_usage(&batch, Micros(0)).await.unwrap();
    }
}

#[tokio::test]
async fn commands_give_equal_output_on_the_store_and_through_the_api() {
    let (mut store, mut api) = (Side::new(false).await, Side::new(true).await);
    for step in SCRIPT {
        assert_eq!(api.step(*step), store.step(*step), "{}", step.1);
    }
    // Each says in its own words how long a grace may be.
    let too_long = ("", "key rotate {next} --grace 86401");
    assert_eq!((api.step(too_long).0, store.step(too_long).0), (4, 4));
    store.book().await;
    api.book().await;
    for step in READING {
        assert_eq!(api.step(*step), store.step(*step), "{}", step.1);
    }
    for line in [
        "ledger export {south}",
        "ledger export {south} --form beancount --accounts cash=Assets:Bank",
        "invoice export {south} --lines",
        "invoice export {acme} --owed",
        "usage export {root} --subtree",
    ] {
        let (of_store, of_api) = (store.run(line, "table"), api.run(line, "table"));
        assert_eq!((of_store.code, of_api.code), (0, 0), "{line}: {of_store:?} {of_api:?}");
        assert!(of_store.stdout.lines().count() > 1, "{line}: {of_store:?}");
        assert_eq!(of_store.stdout.lines().count(), of_api.stdout.lines().count(), "{line}");
    }
    for line in ["tenant list", "tenant limits {acme}", "plan list", "plan show basic", "key list", "audit-log list"] {
        let (of_store, of_api) = (store.run(line, "table"), api.run(line, "table"));
        assert_eq!((of_store.code, of_api.code), (0, 0), "{line}: {of_store:?} {of_api:?}");
        assert_eq!(of_store.stdout.lines().count(), of_api.stdout.lines().count(), "{line}");
        let columns = |run: &Run| run.stdout.lines().next().map(|line| line.split_whitespace().count());
        assert_eq!(columns(&of_store), columns(&of_api), "{line}");
    }
}

#[tokio::test]
async fn invalid_token_is_refused() {
    let api = Side::new(true).await;
    let (billing, _) = api.api.as_ref().unwrap();
    let mut command = api.fixture.command();
    command.env("TOLLGATE_API", &billing.url).env("TOLLGATE_API_TOKEN", "adm_of_nobody");
    let refused = run(command.args(["tenant", "list", "--output", "json"]), "");
    assert_eq!(refused.code, 4, "{refused:?}");
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], json!("refused"), "{error}");
}
