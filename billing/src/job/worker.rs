//! The worker: claims what is due, does it, and keeps its lease meanwhile.
//!
//! Any number of processes may work: the store gives each run to one of them. Times come from the
//! clock; only how often is looked follows the machine.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    job::{Claim, Ended, JobName},
    store::Store,
    time::{Clock, Zone},
};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{JobError, JobKind, JobScope, JobSettings, JobWork};

/// Time for which a claim holds unless it is renewed.
const LEASE_SECONDS: i64 = 60;

/// Interval between renewals.
const RENEWAL: Duration = Duration::from_secs(20);

/// Interval between looks at what is due.
const POLL: Duration = Duration::from_secs(1);

/// Interval between looks at which jobs there are to be, and which are stuck.
const UPKEEP: Duration = Duration::from_secs(30);

/// Most jobs that one process does at once.
const AT_ONCE: usize = 4;

/// Does jobs.
pub struct JobWorker {
    store: Store,
    clock: Arc<dyn Clock>,
    settings: Arc<JobSettings>,
    kinds: &'static [JobKind],
    name: String,
    runs: IntCounterVec,
    stuck: IntGauge,
    /// Jobs that were told to be stuck.
    told: BTreeSet<JobName>,
}

impl JobWorker {
    /// A worker for these kinds of jobs by these settings, with metrics that `registry` collects. `name` tells it from
    /// other workers.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        settings: Arc<JobSettings>,
        kinds: &'static [JobKind],
        name: String,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("tollgate_job_runs_total", "Runs of jobs by kind and outcome: done, failed or lost");
        let runs = IntCounterVec::new(opts, &["kind", "outcome"])?;
        let stuck = IntGauge::new("tollgate_jobs_stuck", "Jobs that are due for more than 15 minutes")?;
        registry.register(Box::new(runs.clone()))?;
        registry.register(Box::new(stuck.clone()))?;
        for kind in kinds {
            for outcome in ["done", "failed", "lost"] {
                runs.with_label_values(&[kind.name, outcome]).inc_by(0);
            }
        }
        Ok(Self { store, clock, settings, kinds, name, runs, stuck, told: BTreeSet::new() })
    }

    /// Works for ever.
    pub async fn work(mut self) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = JoinSet::new();
        let mut kept: Option<Instant> = None;
        loop {
            if kept.is_none_or(|kept| kept.elapsed() >= UPKEEP) {
                if let Err(error) = self.keep().await {
                    tracing::warn!(event = "jobs_not_kept", %error);
                }
                kept = Some(Instant::now());
            }
            while let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
                match self.claim().await {
                    Ok(Some(claim)) => self.begin(&mut under_way, claim, permit),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(event = "jobs_not_claimed", %error);
                        break;
                    }
                }
            }
            tokio::time::sleep(POLL).await;
            while under_way.try_join_next().is_some() {}
        }
    }

    /// Makes the jobs that are to be there, and tells which are stuck.
    async fn keep(&mut self) -> Result<(), JobError> {
        ensure(&self.store, self.kinds, self.clock.as_ref()).await?;
        let now = self.clock.now();
        let jobs = self.store.jobs().await?;
        let stuck: BTreeSet<_> = jobs.iter().filter(|job| job.is_stuck(now)).map(common::job::Job::name).collect();
        for job in jobs.iter().filter(|job| job.is_stuck(now) && !self.told.contains(&job.name())) {
            let error = job.error.as_deref().unwrap_or_default();
            tracing::error!(event = "job_stuck", job = %job.name(), due_at = %job.next_at, attempt = job.attempt, error);
        }
        for job in self.told.difference(&stuck) {
            tracing::info!(event = "job_no_longer_stuck", %job);
        }
        self.stuck.set(i64::try_from(stuck.len()).unwrap_or(i64::MAX));
        self.told = stuck;
        Ok(())
    }

    async fn claim(&self) -> Result<Option<Claim>, JobError> {
        let names: Vec<_> = self.kinds.iter().map(|kind| kind.name).collect();
        let claim = self.store.claim_job(&self.name, &names, LEASE_SECONDS, self.clock.now()).await?;
        if let Some(claim) = claim.as_ref().filter(|claim| claim.taken_over) {
            self.runs.with_label_values(&[claim.job.kind.as_str(), "lost"]).inc();
            tracing::warn!(event = "job_taken_over", job = %claim.job, due_at = %claim.due_at, attempt = claim.attempt);
        }
        Ok(claim)
    }

    /// Begins to do what was claimed, beside other jobs.
    fn begin(&self, under_way: &mut JoinSet<()>, claim: Claim, permit: OwnedSemaphorePermit) {
        let Some(kind) = self.kinds.iter().find(|kind| kind.name == claim.job.kind) else { return };
        let (store, clock, runs) = (self.store.clone(), Arc::clone(&self.clock), self.runs.clone());
        let (kind, settings) = (*kind, Arc::clone(&self.settings));
        under_way.spawn(async move {
            let outcome = run((&store, &clock, &settings), kind, &claim).await;
            runs.with_label_values(&[kind.name, outcome]).inc();
            drop(permit);
        });
    }
}

/// Makes the jobs of these kinds that are to be there.
async fn ensure(store: &Store, kinds: &[JobKind], clock: &dyn Clock) -> Result<(), JobError> {
    let issuers = if kinds.iter().any(|kind| kind.of == JobScope::EachIssuer) {
        store.drop_jobs_of_deleted().await?;
        store.job_issuers().await?
    } else {
        Vec::new()
    };
    for kind in kinds {
        let cron = kind.schedule()?;
        match kind.of {
            JobScope::Whole => {
                store.ensure_job(&JobName::whole(kind.name), &cron, &Zone::utc(), clock.now()).await?;
            }
            JobScope::EachIssuer => {
                for (issuer, zone) in &issuers {
                    let name = JobName { kind: kind.name.to_owned(), issuer: Some(*issuer) };
                    store.ensure_job(&name, &cron, zone, clock.now()).await?;
                }
            }
        }
    }
    Ok(())
}

/// Does a job and keeps its lease; the outcome in a word.
async fn run(
    (store, clock, settings): (&Store, &Arc<dyn Clock>, &Arc<JobSettings>),
    kind: JobKind,
    claim: &Claim,
) -> &'static str {
    let work = JobWork {
        store: store.clone(),
        clock: Arc::clone(clock),
        issuer: claim.job.issuer,
        due_at: claim.due_at,
        settings: Arc::clone(settings),
    };
    let mut working = tokio::spawn((kind.run)(work));
    let result = loop {
        tokio::select! {
            done = &mut working => break done.unwrap_or_else(|panic| Err(JobError::Panic(panic.to_string()))),
            () = tokio::time::sleep(RENEWAL) => match store.renew_job(claim, LEASE_SECONDS, clock.now()).await {
                Ok(true) => {}
                Ok(false) => {
                    working.abort();
                    tracing::warn!(event = "job_lease_lost", job = %claim.job, attempt = claim.attempt);
                    return "lost";
                }
                // The lease may still hold; what is written at the end decides.
                Err(error) => tracing::warn!(event = "job_lease_not_renewed", job = %claim.job, %error),
            },
        }
    };
    let (outcome, ended) = match result {
        Ok(detail) => ("done", Ended::Done(detail)),
        Err(error) => {
            tracing::warn!(event = "job_failed", job = %claim.job, attempt = claim.attempt, %error);
            ("failed", Ended::Failed(error.to_string()))
        }
    };
    match store.end_job(claim, &ended, clock.now()).await {
        Ok(true) => outcome,
        Ok(false) => "lost",
        Err(error) => {
            tracing::warn!(event = "job_end_not_written", job = %claim.job, %error);
            "lost"
        }
    }
}

/// Does all that is due now, one after another, and gives how many runs there were and how many of
/// them failed.
pub async fn run_due(
    store: &Store,
    clock: &Arc<dyn Clock>,
    settings: &Arc<JobSettings>,
    kinds: &'static [JobKind],
    worker: &str,
) -> Result<(u32, u32), JobError> {
    ensure(store, kinds, clock.as_ref()).await?;
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let (mut runs, mut failed) = (0, 0);
    while let Some(claim) = store.claim_job(worker, &names, LEASE_SECONDS, clock.now()).await? {
        let Some(kind) = kinds.iter().find(|kind| kind.name == claim.job.kind) else { break };
        runs += 1;
        failed += u32::from(run((store, clock, settings), *kind, &claim).await != "done");
    }
    Ok((runs, failed))
}
