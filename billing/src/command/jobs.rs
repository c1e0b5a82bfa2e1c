//! `billing jobs`: work that is due at times of a calendar, shown, and done at once.

use std::sync::Arc;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use common::{
    id::TenantId,
    job::{Job, JobName, JobRun},
    store::Store,
    time::{Clock, FixedClock, Micros, SystemClock},
};
use serde::Serialize;

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    config::Environment,
    job::{JobSettings, KINDS, run_due},
};

const HELP: &str = "\
`billing serve` does the jobs, each at the times of its schedule; of several processes, one does a run. A run that was
missed is caught up once, one that failed is tried again after 10 s, 20 s and so on up to an hour. A job that is due for
more than 15 minutes is stuck: the log has `job_stuck`, and `tollgate_jobs_stuck` counts it.

Examples:
  billing jobs
  billing jobs --output json --store sqlite://data/tollgate.db
  billing jobs runs --kind expire_credit --limit 20
  billing jobs due expire_credit
  billing jobs run --now 2026-12-01T00:00:00Z

Exit codes: 0 done, 1 failed, 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true)]
pub(super) struct JobsArguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List runs that have ended, newest first
    Runs {
        /// Only of this kind of job
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Most runs to list
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Make a job due now, for `billing serve` to do
    Due {
        /// Kind of job
        kind: String,
        /// Issuer that the job is for, if it has one
        #[arg(long, value_name = "TENANT")]
        issuer: Option<TenantId>,
        #[command(flatten)]
        common: Common,
    },
    /// Do everything that is due, here
    Run {
        /// Instant that counts as now
        #[arg(long, value_name = "TIME")]
        now: Option<Micros>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

/// A job with its state.
#[derive(Serialize)]
struct JobReport {
    #[serde(flatten)]
    job: Job,
    state: common::job::JobState,
}

/// The work that was done at once.
#[derive(Serialize)]
struct RunReport {
    runs: u32,
    failed: u32,
}

pub(super) async fn execute(arguments: &JobsArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let common = match &arguments.action {
        None => &arguments.common,
        Some(Action::Runs { common, .. } | Action::Due { common, .. } | Action::Run { common, .. }) => common,
    };
    let (url, config) = common.store.resolve(environment)?;
    let settings = config.map(|config| JobSettings::of(&config, environment)).transpose()?.unwrap_or_default();
    let store = Store::open(&url).await?;
    let done = act(arguments.action.as_ref(), common.output, &store, Arc::new(settings)).await;
    store.close().await;
    print(&done?)
}

async fn act(
    action: Option<&Action>,
    output: Output,
    store: &Store,
    settings: Arc<JobSettings>,
) -> Result<String, CommandError> {
    match action {
        None => jobs(store, output).await,
        Some(Action::Runs { kind, limit, .. }) => {
            let runs = store.job_runs(kind.as_deref(), *limit).await?;
            match output {
                Output::Json => json(&runs),
                Output::Table => Ok(runs_table(&runs)),
            }
        }
        Some(Action::Due { kind, issuer, .. }) => {
            store.make_job_due(&JobName { kind: kind.clone(), issuer: *issuer }, SystemClock.now()).await?;
            jobs(store, output).await
        }
        Some(Action::Run { now, .. }) => {
            let clock: Arc<dyn Clock> = match now {
                Some(now) => Arc::new(FixedClock(*now)),
                None => Arc::new(SystemClock),
            };
            let worker = format!("billing jobs {}", std::process::id());
            let (runs, failed) = run_due(store, &clock, &settings, KINDS, &worker).await?;
            match output {
                Output::Json => json(&RunReport { runs, failed }),
                Output::Table => Ok(format!("{runs} jobs were due, {failed} of them failed\n")),
            }
        }
    }
}

async fn jobs(store: &Store, output: Output) -> Result<String, CommandError> {
    let now = SystemClock.now();
    let jobs: Vec<_> = store.jobs().await?.into_iter().map(|job| JobReport { state: job.state(now), job }).collect();
    match output {
        Output::Json => json(&jobs),
        Output::Table => Ok(jobs_table(&jobs)),
    }
}

fn json(document: &impl Serialize) -> Result<String, CommandError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

fn jobs_table(jobs: &[JobReport]) -> String {
    let mut table = with_header(&["Job", "Schedule", "State", "Next run", "Tries", "Latest success", "Error"]);
    for JobReport { job, state } in jobs {
        table.add_row([
            job.name().to_string(),
            format!("{} {}", job.cron, job.zone),
            state.as_str().to_owned(),
            job.retry_at.unwrap_or(job.next_at).to_string(),
            job.attempt.to_string(),
            job.succeeded_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            job.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    format!("{table}\n")
}

fn runs_table(runs: &[JobRun]) -> String {
    let mut table = with_header(&["Job", "Due", "Started", "Ended", "Try", "Outcome", "Result"]);
    for run in runs {
        table.add_row([
            JobName { kind: run.kind.clone(), issuer: run.issuer }.to_string(),
            run.due_at.to_string(),
            run.started_at.to_string(),
            run.ended_at.to_string(),
            run.attempt.to_string(),
            run.outcome.as_str().to_owned(),
            run.detail.clone(),
        ]);
    }
    format!("{table}\n")
}

fn with_header(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(header);
    table
}
