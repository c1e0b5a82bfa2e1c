//! Jobs: done by `billing serve` at their times, shown by `billing jobs`.

use common::{
    job::{Ended, JobName, RunOutcome},
    money::{Currency, Money},
    store::Store,
    time::{Clock as _, Micros, SystemClock},
    usage::UsageEntry,
    wallet::{GrantKind, NewWalletGrant},
};
use serde_json::Value;

use crate::{
    deployment::{Deployment, batch, customer, eventually, instant, request, stderr, stdout},
    topic::deployments,
};

async fn grant(store: &Store, deployment: &str, days: i64, now: Micros) -> common::wallet::WalletGrant {
    let root = store.tenants().await.unwrap().remove(0).id;
    let tenant = customer(store, root, deployment, "UTC", "growth").await.id;
    let new = NewWalletGrant {
        issuer: None,
        tenant,
        amount: Money::from_minor(500, Currency::USD),
        kind: GrantKind::Promotional,
        priority: 50,
        expires_at: Some(now.plus_seconds(days * 86_400)),
        reference: "welcome".into(),
        reason: None,
    };
    store.grant_money(&new, now).await.unwrap()
}

async fn json(deployment: &Deployment, arguments: &[&str]) -> Value {
    let url = deployment.url();
    let output = deployment.run(&[arguments, &["--output", "json", "--store", &url]].concat()).await;
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[tokio::test]
async fn serving_process_expires_credit_and_tells_runs() {
    for deployment in deployments() {
        let (store, _) = deployment.store().await;
        let long_ago = SystemClock.now().plus_seconds(-3 * 86_400);
        let grant = grant(&store, "Acme", 1, long_ago).await;
        let server = deployment.serve().await;
        // A second process works on the same jobs.
        let other = deployment.serve().await;
        eventually("the jobs are there", async || store.jobs().await.unwrap().len() == 8).await;
        store.make_job_due(&JobName::whole("expire_credit"), SystemClock.now()).await.unwrap();
        eventually("the grant has expired", async || {
            store.money_grant(grant.tenant, grant.id).await.unwrap().left.is_zero()
        })
        .await;
        eventually("the run is told", async || !store.job_runs(Some("expire_credit"), 9).await.unwrap().is_empty())
            .await;
        let runs = store.job_runs(Some("expire_credit"), 9).await.unwrap();
        assert_eq!((runs.len(), runs[0].outcome), (1, RunOutcome::Done));
        assert_eq!(runs[0].detail, "1 grants expired");
        let done = "tollgate_job_runs_total{kind=\"expire_credit\",outcome=\"done\"}";
        assert_eq!(server.metric(done).await + other.metric(done).await, 1);
        assert_eq!(server.metric("tollgate_jobs_stuck").await, 0);
        let jobs = json(&deployment, &["jobs"]).await;
        let kinds: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
        let expected = [
            "collect_payments",
            "count_budgets",
            "expire_credit",
            "issue_invoices",
            "recognize_revenue",
            "request_top_ups",
            "tell_expiring_keys",
            "tidy_outbox",
        ];
        assert_eq!(kinds, expected);
        let told = json(&deployment, &["jobs", "runs", "--kind", "expire_credit"]).await;
        assert_eq!((&told[0]["outcome"], &told[0]["detail"]), (&"done".into(), &"1 grants expired".into()));
        assert_eq!(store.ledger_faults().await.unwrap(), []);
    }
}

#[tokio::test]
async fn travelling_clock_runs_what_is_due_then() {
    let deployment = Deployment::new();
    let (store, _) = deployment.store().await;
    let now = instant("2026-06-01T00:00:00Z");
    let grant = grant(&store, "Acme", 30, now).await;
    let run = async |at: &str| json(&deployment, &["jobs", "run", "--now", at]).await;
    assert_eq!(run("2026-06-01T00:00:00Z").await["runs"], 0, "the jobs begin then");
    assert_eq!(run("2026-06-20T00:00:00Z").await["runs"], 8, "missed runs are caught up once");
    assert_eq!(store.money_grant(grant.tenant, grant.id).await.unwrap().left, grant.amount);
    assert_eq!(run("2026-07-01T00:00:00Z").await["failed"], 0);
    assert!(store.money_grant(grant.tenant, grant.id).await.unwrap().left.is_zero());
    let table = stdout(&deployment.run(&["jobs", "--store", &deployment.url()]).await);
    assert!(table.contains("expire_credit") && table.contains("*/10 * * * * UTC"), "{table}");
    let unknown = deployment.run(&["jobs", "due", "nothing", "--store", &deployment.url()]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("no job nothing"), "{}", stderr(&unknown));
    let due = json(&deployment, &["jobs", "due", "expire_credit"]).await;
    assert_ne!(due[0]["state"], "waiting", "{due}");
}

#[tokio::test]
async fn stuck_job_is_told_by_log_and_metric() {
    let deployment = Deployment::new();
    let (store, _) = deployment.store().await;
    let long_ago = SystemClock.now().plus_seconds(-7_200);
    let name = JobName::whole("expire_credit");
    store.ensure_job(&name, &"*/10 * * * *".parse().unwrap(), &common::time::Zone::utc(), long_ago).await.unwrap();
    // Another worker has it, and does not end.
    let now = SystemClock.now();
    let claim = store.claim_job("somebody", &["expire_credit"], 3_600, now).await.unwrap().unwrap();
    let server = deployment.serve().await;
    let told = server.logged("job_stuck").await;
    assert_eq!(told["job"], "expire_credit");
    assert_eq!(server.metric("tollgate_jobs_stuck").await, 1);
    assert!(store.end_job(&claim, &Ended::Done(String::new()), SystemClock.now()).await.unwrap());
}

#[tokio::test]
async fn invoices_are_issued_by_the_job_once_all_usage_is_in() {
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
    let config = deployment.path("automatic.yaml");
    let text = format!("store: {}\ninvoices: {{ automatic: true }}\n", deployment.url());
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let run = async |now: &str| {
        let arguments = ["jobs", "run", "--now", now, "--config", &config, "--output", "json"];
        let output = deployment.run(&arguments).await;
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()
    };
    let detail = async || store.job_runs(Some("issue_invoices"), 1).await.unwrap().remove(0).detail;
    run("2026-06-01T00:00:00Z").await;
    run("2026-06-01T02:10:00Z").await;
    assert_eq!(detail().await, "1 invoices issued", "that of May");
    // Numbers 0 to 9 of the stream have not come.
    let used = |first, at: &str| batch(first, [UsageEntry::Request(request(acme, at, 3_200_000))]);
    store.book_usage(&used(10, "2026-06-10T00:00:00Z"), instant("2026-06-10T00:00:00Z")).await.unwrap();
    assert_eq!(run("2026-06-20T00:00:00Z").await["failed"], 0);
    assert!(detail().await.starts_with("nothing is due; usage may be missing: 1 gaps are open"), "{}", detail().await);
    assert_eq!(run("2026-07-01T01:10:00Z").await["failed"], 1);
    assert!(detail().await.starts_with("1 bills are due, and usage may be missing"), "{}", detail().await);
    for seq in 0..10 {
        let free = batch(seq, [UsageEntry::Request(request(acme, "2026-06-11T00:00:00Z", 0))]);
        store.book_usage(&free, instant("2026-07-01T01:11:00Z")).await.unwrap();
    }
    assert_eq!(run("2026-07-01T02:10:00Z").await["failed"], 0, "{}", detail().await);
    assert_eq!(detail().await, "1 invoices issued");
    let page = common::store::PageRequest { after: None, limit: 10 };
    let issued = store.invoices(common::invoice::InvoiceFilter::default(), page).await.unwrap().items;
    assert_eq!((issued.len(), issued[1].total.digits().as_str()), (2, "103.80"));
}
