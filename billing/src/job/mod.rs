//! Jobs: the kinds of work that `billing serve` does at times of a calendar, and the worker that
//! does it.
//!
//! Another kind is one line of [`KINDS`]. Its work may be cut off anywhere and run again, so it
//! changes the store in transactions that a repetition finds done.

mod budgets;
mod invoices;
mod keys;
mod outbox;
mod payments;
mod revenue;
mod wallet;
mod worker;

use std::{pin::Pin, sync::Arc};

use common::{
    id::TenantId,
    store::{Store, StoreError},
    time::{Clock, Cron, Micros},
};
pub use worker::{JobWorker, run_due};

use crate::{
    config::{Config, Environment, IngestConfig, InvoicesConfig, PaymentsError},
    payment::Providers,
};

/// Kinds of jobs.
pub const KINDS: &[JobKind] = &[
    JobKind::whole("expire_credit", "*/10 * * * *", |work| Box::pin(wallet::expire(work))),
    JobKind::whole("request_top_ups", "* * * * *", |work| Box::pin(wallet::request_top_ups(work))),
    JobKind::whole("count_budgets", "* * * * *", |work| Box::pin(budgets::count(work))),
    JobKind::whole("issue_invoices", "5 * * * *", |work| Box::pin(invoices::issue(work))),
    JobKind::whole("tell_expiring_keys", "*/10 * * * *", |work| Box::pin(keys::tell_expiring(work))),
    JobKind::whole("tidy_outbox", "20 3 * * *", |work| Box::pin(outbox::tidy(work))),
    JobKind::whole("recognize_revenue", "25 * * * *", |work| Box::pin(revenue::recognize(work))),
    JobKind::whole("collect_payments", "* * * * *", |work| Box::pin(payments::collect_all(work))),
];

/// A kind of job.
#[derive(Debug, Clone, Copy)]
pub struct JobKind {
    /// Its name in the store, in metrics and in commands.
    pub name: &'static str,
    /// Its times: minute, hour, day, month, day of the week.
    pub cron: &'static str,
    /// For whom it is done.
    pub of: JobScope,
    /// The work.
    pub run: fn(JobWork) -> JobFuture,
}

/// For whom a kind of job is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobScope {
    /// For all at once, on the clock of UTC.
    Whole,
    /// For each root and reseller by itself, on its clock.
    EachIssuer,
}

/// The work of one run.
#[derive(Clone)]
pub struct JobWork {
    /// The store, seeing everything.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For whom; none: for all at once.
    pub issuer: Option<TenantId>,
    /// Time at which the job was due.
    pub due_at: Micros,
    /// Settings of the process.
    pub settings: Arc<JobSettings>,
}

/// Settings that jobs need.
#[derive(Clone, Default)]
pub struct JobSettings {
    /// Those of the job that issues invoices.
    pub invoices: InvoicesConfig,
    /// Those of `billing ingest`, by which Kafka is asked for usage that is not booked.
    pub ingest: IngestConfig,
    /// True if brokers are named: then Kafka has to answer.
    pub has_kafka: bool,
    /// Payment providers of issuers.
    pub providers: Providers,
}

/// The work under way; it ends with what was done, in words.
pub type JobFuture = Pin<Box<dyn Future<Output = Result<String, JobError>> + Send>>;

/// The reason why work failed. The job is tried again.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work ended by a panic.
    #[error("the work panicked: {0}")]
    Panic(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl JobSettings {
    /// Those of a configuration and an environment, with the secrets that it names.
    pub fn of(config: &Config, environment: &Environment) -> Result<Self, PaymentsError> {
        Ok(Self {
            invoices: config.invoices,
            ingest: config.ingest.clone(),
            has_kafka: environment.kafka.is_some(),
            providers: config.payments.providers()?,
        })
    }
}

impl JobKind {
    /// A kind of job that is done for all at once.
    pub const fn whole(name: &'static str, cron: &'static str, run: fn(JobWork) -> JobFuture) -> Self {
        Self { name, cron, of: JobScope::Whole, run }
    }

    /// A kind of job that is done for each issuer on its own clock.
    pub const fn each_issuer(name: &'static str, cron: &'static str, run: fn(JobWork) -> JobFuture) -> Self {
        Self { name, cron, of: JobScope::EachIssuer, run }
    }

    /// Its schedule.
    pub fn schedule(&self) -> Result<Cron, JobError> {
        self.cron.parse().map_err(|error: common::time::CronError| JobError::Other(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_and_schedules() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(KINDS.iter().all(|kind| kind.schedule().is_ok()));
    }
}
