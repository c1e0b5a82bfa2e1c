//! Jobs: due at their times, run by one worker at a time, tried again, caught up once.

use common::{
    job::{Claim, Ended, Job, JobName, JobState, RunOutcome, STUCK_SECONDS},
    store::{Store, StoreError},
    tenant::TenantKind,
    time::{Cron, Micros, Zone},
};

use crate::fixture::{Fixture, NOW, below, on_both_engines, root};

on_both_engines!(
    job_is_run_once_at_its_time,
    missed_runs_are_caught_up_once,
    failed_job_is_tried_again_later_and_later,
    lease_that_runs_out_is_taken_over,
    worker_without_lease_changes_nothing,
    concurrent_workers_get_one_claim,
    schedule_follows_clock_of_issuer,
    changed_schedule_counts_from_now_on,
    jobs_of_deleted_issuers_are_dropped,
    job_that_is_due_for_too_long_is_stuck,
);

const LEASE: i64 = 60;

fn cron(text: &str) -> Cron {
    text.parse().unwrap()
}

fn at(text: &str) -> Micros {
    text.parse().unwrap()
}

fn done() -> Ended {
    Ended::Done("all of it".into())
}

/// A job at the full hour; `NOW` is half past one.
async fn hourly(store: &Store) -> JobName {
    let name = JobName::whole("count");
    store.ensure_job(&name, &cron("0 * * * *"), &Zone::utc(), NOW).await.unwrap();
    name
}

async fn claim(store: &Store, worker: &str, now: Micros) -> Option<Claim> {
    store.claim_job(worker, &["count"], LEASE, now).await.unwrap()
}

async fn only_job(store: &Store) -> Job {
    let mut jobs = store.jobs().await.unwrap();
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

async fn job_is_run_once_at_its_time(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    let due = at("2026-11-22T02:00:00Z");
    assert_eq!(only_job(&store).await.next_at, due);
    assert_eq!(claim(&store, "a", Micros(due.0 - 1)).await, None);
    assert_eq!(store.claim_job("a", &["other"], LEASE, due).await.unwrap(), None, "of a kind that is not known");
    let first = claim(&store, "a", due).await.unwrap();
    assert_eq!((first.due_at, first.attempt, first.taken_over), (due, 1, false));
    assert_eq!(claim(&store, "b", due).await, None, "one has it");
    assert_eq!(only_job(&store).await.state(due), JobState::Running);
    assert!(store.end_job(&first, &done(), due.plus_seconds(2)).await.unwrap());
    let job = only_job(&store).await;
    assert_eq!((job.next_at, job.attempt, job.worker), (at("2026-11-22T03:00:00Z"), 0, None));
    assert_eq!(claim(&store, "b", due.plus_seconds(3)).await, None);
    let run = store.job_runs(None, 10).await.unwrap().remove(0);
    assert_eq!((run.outcome, run.detail.as_str(), run.due_at), (RunOutcome::Done, "all of it", due));
    assert_eq!((run.started_at, run.ended_at, run.worker.as_str()), (due, due.plus_seconds(2), "a"));
}

async fn missed_runs_are_caught_up_once(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    // Nobody was there for a day.
    let late = at("2026-11-23T04:20:00Z");
    let claim_once = claim(&store, "a", late).await.unwrap();
    assert_eq!(claim_once.due_at, at("2026-11-22T02:00:00Z"));
    store.end_job(&claim_once, &done(), late).await.unwrap();
    assert_eq!(only_job(&store).await.next_at, at("2026-11-23T05:00:00Z"));
    assert_eq!(claim(&store, "a", late).await, None);
}

async fn failed_job_is_tried_again_later_and_later(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    let due = at("2026-11-22T02:00:00Z");
    let mut now = due;
    let mut waits = Vec::new();
    for attempt in 1..=11 {
        let tried = claim(&store, "a", now).await.unwrap();
        assert_eq!((tried.attempt, tried.due_at), (attempt, due));
        store.end_job(&tried, &Ended::Failed("the disk\nis full".into()), now).await.unwrap();
        let job = only_job(&store).await;
        assert_eq!((job.error.as_deref(), job.next_at), (Some("the disk is full"), due));
        let retry = job.retry_at.unwrap();
        waits.push((retry.0 - now.0) / Micros::PER_SECOND);
        assert_eq!(claim(&store, "a", Micros(retry.0 - 1)).await, None);
        now = retry;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
    let last = claim(&store, "b", now).await.unwrap();
    store.end_job(&last, &done(), now).await.unwrap();
    let job = only_job(&store).await;
    assert_eq!((job.attempt, job.retry_at, job.error), (0, None, None));
    assert!(job.next_at > now);
}

async fn lease_that_runs_out_is_taken_over(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    let due = at("2026-11-22T02:00:00Z");
    let first = claim(&store, "a", due).await.unwrap();
    assert!(store.renew_job(&first, LEASE, due.plus_seconds(40)).await.unwrap());
    assert_eq!(claim(&store, "b", due.plus_seconds(99)).await, None);
    let second = claim(&store, "b", due.plus_seconds(100)).await.unwrap();
    assert_eq!((second.taken_over, second.attempt, second.due_at), (true, 2, due));
    let lost = store.job_runs(Some("count"), 10).await.unwrap().remove(0);
    assert_eq!((lost.outcome, lost.worker.as_str()), (RunOutcome::Lost, "a"));
}

async fn worker_without_lease_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    let due = at("2026-11-22T02:00:00Z");
    let first = claim(&store, "a", due).await.unwrap();
    // The same worker under the same name has another claim.
    let second = claim(&store, "a", due.plus_seconds(LEASE)).await.unwrap();
    let before = only_job(&store).await;
    assert!(!store.renew_job(&first, LEASE, due.plus_seconds(70)).await.unwrap());
    assert!(!store.end_job(&first, &done(), due.plus_seconds(70)).await.unwrap());
    assert!(!store.end_job(&first, &Ended::Failed("late".into()), due.plus_seconds(70)).await.unwrap());
    assert_eq!(only_job(&store).await, before);
    assert!(store.end_job(&second, &done(), due.plus_seconds(70)).await.unwrap());
    assert!(!store.end_job(&second, &done(), due.plus_seconds(71)).await.unwrap(), "it has ended");
}

async fn concurrent_workers_get_one_claim(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    let due = at("2026-11-22T02:00:00Z");
    let workers: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { claim(&store, &number.to_string(), due).await })
        })
        .collect();
    let mut claims = 0;
    for worker in workers {
        claims += usize::from(worker.await.unwrap().is_some());
    }
    assert_eq!(claims, 1);
}

async fn schedule_follows_clock_of_issuer(fixture: Fixture) {
    let store = fixture.store().await;
    let issuer = root(&store).await.id;
    let name = JobName { kind: "close".into(), issuer: Some(issuer) };
    let berlin = "Europe/Berlin".parse().unwrap();
    store.ensure_job(&name, &cron("0 3 1 * *"), &berlin, NOW).await.unwrap();
    let job = only_job(&store).await;
    assert_eq!(
        (job.issuer, job.next_at, job.zone.as_str()),
        (Some(issuer), at("2026-12-01T02:00:00Z"), "Europe/Berlin")
    );
    store.make_job_due(&name, NOW).await.unwrap();
    let claimed = store.claim_job("a", &["close"], LEASE, NOW).await.unwrap().unwrap();
    assert_eq!(claimed.job, name);
    store.end_job(&claimed, &done(), NOW).await.unwrap();
    assert_eq!(only_job(&store).await.next_at, at("2026-12-01T02:00:00Z"));
    let unknown = store.make_job_due(&JobName::whole("close"), NOW).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
}

async fn changed_schedule_counts_from_now_on(fixture: Fixture) {
    let store = fixture.store().await;
    let name = hourly(&store).await;
    let later = NOW.plus_seconds(60);
    store.ensure_job(&name, &cron("45 * * * *"), &Zone::utc(), later).await.unwrap();
    assert_eq!(only_job(&store).await.next_at, at("2026-11-22T01:45:00Z"));
    // A run that is due already stays due.
    let due = at("2026-11-22T01:50:00Z");
    store.ensure_job(&name, &cron("0 0 * * *"), &Zone::utc(), due).await.unwrap();
    assert_eq!(only_job(&store).await.next_at, at("2026-11-22T01:45:00Z"));
    store.ensure_job(&name, &cron("0 0 * * *"), &Zone::utc(), due.plus_seconds(9)).await.unwrap();
    assert!(claim(&store, "a", due).await.is_some());
}

async fn jobs_of_deleted_issuers_are_dropped(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let reseller = below(&store, TenantKind::Reseller, top).await;
    below(&store, TenantKind::Customer, top).await;
    let issuers: Vec<_> = store.job_issuers().await.unwrap().into_iter().map(|(issuer, _)| issuer).collect();
    assert_eq!(issuers.len(), 2);
    assert!(issuers.contains(&top) && issuers.contains(&reseller));
    for issuer in issuers {
        let name = JobName { kind: "close".into(), issuer: Some(issuer) };
        store.ensure_job(&name, &cron("0 3 1 * *"), &Zone::utc(), NOW).await.unwrap();
    }
    assert_eq!(store.drop_jobs_of_deleted().await.unwrap(), 0);
    store.delete_tenant(reseller, None, NOW).await.unwrap();
    assert_eq!(store.drop_jobs_of_deleted().await.unwrap(), 1);
    assert_eq!(only_job(&store).await.issuer, Some(top));
}

async fn job_that_is_due_for_too_long_is_stuck(fixture: Fixture) {
    let store = fixture.store().await;
    hourly(&store).await;
    let due = at("2026-11-22T02:00:00Z");
    let job = only_job(&store).await;
    assert_eq!(job.state(NOW), JobState::Waiting);
    assert_eq!(job.state(due), JobState::Due);
    assert_eq!(job.state(due.plus_seconds(STUCK_SECONDS)), JobState::Due);
    assert_eq!(job.state(due.plus_seconds(STUCK_SECONDS + 1)), JobState::Stuck);
    let tried = claim(&store, "a", due).await.unwrap();
    store.end_job(&tried, &Ended::Failed("no".into()), due).await.unwrap();
    assert_eq!(only_job(&store).await.state(due), JobState::Retrying);
}
