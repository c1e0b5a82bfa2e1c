//! Jobs: done by `billing serve` at their times, shown by `billing jobs`.

use common::{
    job::{Ended, JobName, RunOutcome},
    money::{Currency, Money},
    store::Store,
    time::{Clock as _, Micros, SystemClock},
    wallet::{GrantKind, NewWalletGrant},
};
use serde_json::Value;

use crate::{
    deployment::{Deployment, customer, eventually, instant, stderr, stdout},
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
        eventually("the jobs are there", async || store.jobs().await.unwrap().len() == 2).await;
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
        assert_eq!(kinds, ["expire_credit", "request_top_ups"]);
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
    assert_eq!(run("2026-06-20T00:00:00Z").await["runs"], 2, "missed runs are caught up once");
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
